#!/usr/bin/env node
import { setMaxListeners } from 'node:events'
import { helpText } from './cli/help.ts'
import { version } from './version.ts'
import { UsageError, type Io } from './cli/terminal.ts'
import { closestMatch } from './text/closest-match.ts'

type Command = (args: readonly string[], io: Io) => Promise<number>

/** Each loads what it needs and no more: `status` shall not wait for an SSH library. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./cli/run.ts')).runCommand,
  check: async () => (await import('./cli/check.ts')).checkCommand,
  status: async () => (await import('./cli/status.ts')).statusCommand,
  reload: async () => (await import('./cli/reload.ts')).reloadCommand,
  builders: async () => (await import('./cli/builders.ts')).buildersCommand,
  config: async () => (await import('./cli/config.ts')).configCommand,
  alert: async () => (await import('./cli/alert.ts')).alertCommand,
  demo: async () => (await import('./cli/run.ts')).demoCommand,
  explain: async () => (await import('./cli/explain.ts')).explainCommand,
}

const main = async (argv: readonly string[]): Promise<number> => {
  const stop = new AbortController()
  // As many builders as there are listen to it
  setMaxListeners(0, stop.signal)
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stop.abort(new Error(signal)))
  const io: Io = {
    out: text => void process.stdout.write(text),
    err: text => void process.stderr.write(text),
    env: process.env,
    isTerminal: process.stdout.isTTY === true,
    signal: stop.signal,
  }
  const [name = 'help', ...args] = argv
  if (name === 'help' || name === '--help' || name === '-h' || args.includes('--help')) {
    io.out(helpText)
    return 0
  }
  if (name === '--version' || name === 'version') {
    io.out(`builder-monitor ${version}\n`)
    return 0
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  try {
    if (!load) {
      const suggestion = closestMatch(name, Object.keys(commands))
      throw new UsageError(
        `unknown command ${name}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
      )
    }
    const command = await load()
    return await command(args, io)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    io.err(`builder-monitor: ${error.message}\n`)
    return 3
  }
}

process.exitCode = await main(process.argv.slice(2))
