import type { Readable, Writable } from 'node:stream'
import { createWireReader, type WireOptions, type WireReader } from './wire.ts'

/** Both directions of a remote program: a channel, a child process or a pair of pipes. */
export interface Pipe {
  readonly stdout: Readable
  readonly stdin: Writable
}

/** One protocol session. It owns the pipe. */
export interface ProtocolSession {
  readonly reader: WireReader
  send(...parts: readonly Buffer[]): void
  /** Closes our direction, which makes a remote Nix exit. */
  endWrite(): void
}

export const startSession = (pipe: Pipe, options: WireOptions): ProtocolSession => {
  const reader = createWireReader(pipe.stdout, options)
  // An exiting remote closes stdin first; its last output on stdout explains more than EPIPE.
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

/** Formats a protocol version: `1.35` for 0x123. */
export const formatVersion = (version: number): string =>
  `${version >> 8}.${version & 255}`
