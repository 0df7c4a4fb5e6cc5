#!/usr/bin/env node
import { checkCommand } from './cli/check.ts'
import { UsageError, type Io } from './cli/io.ts'
import { nearest } from './diagnosis/nearest.ts'

type Command = (args: readonly string[], io: Io) => Promise<number>

const commands: Readonly<Record<string, Command>> = { check: checkCommand }

const main = async (argv: readonly string[]): Promise<number> => {
  const stop = new AbortController()
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
