import type { Readable, Writable } from 'node:stream'
import { createWireReader, type WireOptions, type WireReader } from './wire.ts'

/** Both directions of a remote program: a channel, a child process, a pair of pipes. */
export interface Pipe {
  /** What the remote says. */
  readonly stdout: Readable
  readonly stdin: Writable
}

/** One conversation over a pipe, which it takes over for good. */
export interface ProtocolSession {
  readonly reader: WireReader
  send(...parts: readonly Buffer[]): void
  /** Closes our direction: a remote Nix ends then. */
  endWrite(): void
}

export const startSession = (pipe: Pipe, options: WireOptions): ProtocolSession => {
  const reader = createWireReader(pipe.stdout, options)
  // A remote that is gone closes stdin first; what it said before is on stdout and says more than EPIPE.
  pipe.stdin.on('error', () => undefined)
  return {
    reader,
    send: (...parts) => {
      pipe.stdin.write(Buffer.concat(parts))
    },
    endWrite: () => {
      pipe.stdin.end()
    },
  }
}

/** `1.35` for 0x123. */
export const formatVersion = (version: number): string =>
  `${version >> 8}.${version & 255}`
