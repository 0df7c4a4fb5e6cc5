#!/usr/bin/env node
import { checkCommand } from './cli/check.ts'
import { setMaxListeners } from 'node:events'
import { alertCommand } from './cli/alert.ts'
import { buildersCommand } from './cli/builders.ts'
import { configCommand } from './cli/config.ts'
import { explainCommand } from './cli/explain.ts'
import { helpText } from './cli/help.ts'
import { demoCommand, runCommand } from './cli/run.ts'
import { reloadCommand } from './cli/reload.ts'
import { statusCommand } from './cli/status.ts'
import { version } from './version.ts'
import { UsageError, type Io } from './cli/io.ts'
import { nearest } from './diagnosis/nearest.ts'

type Command = (args: readonly string[], io: Io) => Promise<number>

const commands: Readonly<Record<string, Command>> = {
  run: runCommand,
  check: checkCommand,
  status: statusCommand,
  reload: reloadCommand,
  builders: buildersCommand,
  config: configCommand,
  alert: alertCommand,
  demo: demoCommand,
  explain: explainCommand,
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
  const command = commands[name]
  try {
    if (!command) {
      const near = nearest(name, Object.keys(commands))
      throw new UsageError(
        `unknown command ${name}${near ? `, did you mean ${near}?` : ''}`,
      )
    }
    return await command(args, io)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    io.err(`builder-monitor: ${error.message}\n`)
    return 3
  }
}

process.exitCode = await main(process.argv.slice(2))
