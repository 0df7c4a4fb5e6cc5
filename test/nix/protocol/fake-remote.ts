import { PassThrough, Writable } from 'node:stream'
import type { Pipe } from '../../../src/nix/protocol/session.ts'
import { concat, text, word } from '../../../src/nix/protocol/wire-writer.ts'

export interface FakeRemote extends Pipe {
  readonly stdout: PassThrough
  /** Returns everything that our side wrote. */
  written(): Buffer
  /** True once our side closed its direction. */
  left(): boolean
}

/** A remote that sends `bytes` in chunks of `piece` bytes and then closes unless `stays` is set. */
export const fakeRemote = (
  bytes: Uint8Array,
  { piece = 64 * 1024, stays = false }: { piece?: number; stays?: boolean } = {},
): FakeRemote => {
  const stdout = new PassThrough({ highWaterMark: 1024 * 1024 })
  const written: Buffer[] = []
  let left = false
  const stdin = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk)
      done()
    },
    final: done => {
      left = true
      done()
    },
  })
  for (let at = 0; at < bytes.length; at += piece)
    stdout.write(Buffer.from(bytes.subarray(at, at + piece)))
  if (!stays) stdout.end()
  return { stdout, stdin, written: () => Buffer.concat(written), left: () => left }
}

export const never = new AbortController().signal

export const hex = (...words: readonly string[]): Buffer =>
  Buffer.from(words.join('').replaceAll(/\s/g, ''), 'hex')

/** The recorded answer of 2.34.8 to the handshake of a 1.35 client. */
export const greeting = hex(
  '6f69786400000000 2601000000000000',
  '0600000000000000 322e33342e380000',
  '0100000000000000',
  '73746c6100000000',
)

export const last = word(0x616c7473)

/** STDERR_ERROR in the layout of 1.26 and above. */
export const stderrError = (message: string): Buffer =>
  concat(
    word(0x63787470),
    text('Error'),
    word(0),
    text('Error'),
    text(message),
    word(0),
    word(0),
  )
