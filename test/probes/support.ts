/** In-memory remotes: output and exit of remote commands, without SSH. */
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  noTrace,
  type Builder,
  type Channel,
  type Clock,
  type ProbeContext,
  type Remote,
} from '../../src/model/index.ts'
import { aBuilder } from '../support/builders.ts'

/** The remote side of a channel. */
export interface FarSide {
  readonly command: string
  /** What we sent. */
  readonly input: PassThrough
  readonly output: PassThrough
  readonly errors: PassThrough
  /** Ends the remote command. */
  end(code: number | null): void
}

export interface MemoryRemote extends Remote {
  readonly commands: readonly string[]
  /** Channels that were closed by us. */
  readonly closed: () => number
}

export const memoryRemote = (play: (far: FarSide) => void): MemoryRemote => {
  const commands: string[] = []
  let closed = 0
  return {
    commands,
    closed: () => closed,
    open: async command => {
      commands.push(command)
      const [input, output, errors] = [
        new PassThrough(),
        new PassThrough(),
        new PassThrough(),
      ]
      let over: (code: number | null) => void = () => undefined
      const exit = new Promise<Awaited<Channel['exit']>>(resolve => {
        over = code => resolve({ code, signal: null })
      })
      play({
        command,
        input,
        output,
        errors,
        end: code => {
          output.end()
          errors.end()
          // As ssh2 does: reports the end after everything was read
          output.once('end', () => over(code))
        },
      })
      return {
        stdin: input,
        stdout: output,
        stderr: errors,
        exit,
        close: () => {
          closed++
          for (const stream of [input, output, errors]) stream.destroy()
          over(null)
        },
      }
    },
  }
}

/** A clock that shortens the wait for stderr. */
export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => sleep(Math.min(ms, 50), undefined, { signal }),
}

export const contextOf = (
  remote: Remote,
  builder: Partial<Builder> = {},
  signal: AbortSignal = new AbortController().signal,
): ProbeContext => ({
  builder: aBuilder(builder),
  remote,
  run: () => Promise.reject(new Error('nothing is run here')),
  clock,
  signal,
  nix: { version: null, system: 'x86_64-linux' },
  last: () => null,
  trace: noTrace,
})
