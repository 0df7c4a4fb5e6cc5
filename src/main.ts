#!/usr/bin/env node
import { setMaxListeners } from 'node:events'
import { runCli } from './cli/command.ts'
import { alertTest } from './cli/commands/alert-test.ts'
import { builders } from './cli/commands/builders.ts'
import { check } from './cli/commands/check.ts'
import { configCheck } from './cli/commands/config-check.ts'
import { drain, undrain } from './cli/commands/drain.ts'
import { explain } from './cli/commands/explain.ts'
import { holdSlots } from './cli/commands/hold-slots.ts'
import { reload } from './cli/commands/reload.ts'
import { createRunCommand, demo } from './cli/commands/run.ts'
import { status } from './cli/commands/status.ts'
import { writeMachines } from './cli/commands/write-machines.ts'

const stop = new AbortController()
// One listener for each builder
setMaxListeners(0, stop.signal)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stop.abort(new Error(signal)))

/** Declarations only: each command loads its code when it runs, so that `status` does not load an SSH library. */
const commands = [
  createRunCommand(),
  check,
  status,
  reload,
  alertTest,
  builders,
  configCheck,
  drain,
  undrain,
  explain,
  holdSlots,
  writeMachines,
  demo,
]

process.exitCode = await runCli(commands, process.argv.slice(2), {
  out: text => void process.stdout.write(text),
  err: text => void process.stderr.write(text),
  env: process.env,
  isTerminal: process.stdout.isTTY === true,
  signal: stop.signal,
})
