import type { Readable } from 'node:stream'
import { sanitize } from '../../text/sanitize.ts'
import { UnexpectedEofError, ProtocolError } from './errors.ts'

/** Limits of the accepted input. */
export interface WireLimits {
  /** Bytes of the whole session. */
  readonly totalBytes: number
  /** Bytes of one string. */
  readonly stringBytes: number
  readonly listItems: number
}

/** Enough for a handshake and queries; a build log can need more total bytes. */
export const defaultLimits: WireLimits = {
  totalBytes: 1024 * 1024,
  stringBytes: 64 * 1024,
  listItems: 1000,
}

export interface WireOptions {
  /** Rejects pending reads with its reason. */
  readonly signal: AbortSignal
  readonly limits?: Partial<WireLimits>
}

/**
 * Reads Nix's primitive encodings; one read at a time. `what` names the value in errors. Reads reject with ProtocolError,
 * UnexpectedEofError or the signal's reason.
 */
export interface WireReader {
  /** Bytes consumed so far. */
  readonly offset: number
  /** Reads an unsigned 64-bit value; activity ids do not fit a number. */
  word(what: string): Promise<bigint>
  /** Reads a word that must not exceed `max`; Nix itself reads most integers as 32 bits. */
  number(what: string, max?: number): Promise<number>
  bool(what: string): Promise<boolean>
  text(what: string): Promise<string>
  list<T>(what: string, item: () => Promise<T>): Promise<readonly T[]>
  /**
   * Reads the magic number that starts a session. On a mismatch calls `endWrite`, so that the other program exits, and
   * waits for the start of its output for the error.
   */
  magic(expected: bigint, what: string, endWrite: () => void): Promise<void>
  /** Creates the error for an invalid value that was just read. */
  protocolError(what: string): ProtocolError
}

const headBytes = 200

/** Creates the only reader of `stream`; stream errors reject its reads. */
export const createWireReader = (
  stream: Readable,
  { signal, limits: overrides }: WireOptions,
): WireReader => {
  const limits = { ...defaultLimits, ...overrides }
  const source = createSource(stream, signal)
  let start = 0

  const position = (offset: number) => ({ offset, received: source.head() })
  const protocolError = (what: string) => new ProtocolError(what, position(start))

  const bytes = async (count: number): Promise<Buffer> => {
    if (source.consumedBytes + count > limits.totalBytes)
      throw protocolError(`more than ${limits.totalBytes} bytes`)
    return source.take(count)
  }
  const word = async (): Promise<bigint> => {
    start = source.consumedBytes
    return (await bytes(8)).readBigUInt64LE()
  }
  const number = async (what: string, max = 0xffff_ffff): Promise<number> => {
    const value = await word()
    if (value > BigInt(max)) throw protocolError(`${what} of ${value} is too large`)
    return Number(value)
  }

  return {
    get offset() {
      return source.consumedBytes
    },
    word,
    number,
    protocolError,
    bool: async what => (await number(what, 1)) === 1,
    text: async what => {
      const length = await number(`length of ${what}`, limits.stringBytes)
      const text = (await bytes(length)).toString('utf8')
      const padding = await bytes(-length & 7)
      if (padding.some(byte => byte !== 0)) throw protocolError(`padding of ${what}`)
      return text
    },
    list: async (what, item) => {
      const count = await number(`count of ${what}`, limits.listItems)
      const items = []
      while (items.length < count) items.push(await item())
      return items
    },
    magic: async (expected, what, endWrite) => {
      if ((await word()) === expected) return
      endWrite()
      await source.fillHead()
      throw new ProtocolError(`not ${what}`, position(0))
    },
  }
}

/** Reads bytes on demand; buffers only the requested bytes and what the stream buffers. */
const createSource = (stream: Readable, signal: AbortSignal) => {
  let chunks: Buffer[] = []
  let bufferedBytes = 0
  let consumedBytes = 0
  let head = Buffer.alloc(0)
  let isEnded = stream.destroyed || stream.readableEnded
  let failure: Error | undefined
  let wake = (): void => undefined

  const markEnded = (error?: Error): void => {
    isEnded = true
    failure ??= error
    wake()
  }
  stream.on('readable', () => wake())
  stream.once('end', () => markEnded())
  stream.once('close', () => markEnded())
  stream.on('error', markEnded)

  const waitForChange = async (): Promise<void> => {
    let onAbort = (): void => undefined
    try {
      await new Promise<void>((resolve, reject) => {
        wake = resolve
        onAbort = () => reject(signal.reason as Error)
        signal.addEventListener('abort', onAbort, { once: true })
      })
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
  const readChunk = async (): Promise<void> => {
    for (;;) {
      signal.throwIfAborted()
      // Data received before the end can be a complete answer, so the buffer is read first.
      const chunk = stream.read() as Buffer | null
      if (chunk !== null) {
        chunks.push(chunk)
        bufferedBytes += chunk.length
        if (head.length < headBytes)
          head = Buffer.concat([head, chunk.subarray(0, headBytes - head.length)])
        return
      }
      if (isEnded)
        throw new UnexpectedEofError(
          { offset: consumedBytes + bufferedBytes, received: text() },
          failure,
        )
      await waitForChange()
    }
  }
  const text = (): string => sanitize(head, headBytes)

  return {
    get consumedBytes() {
      return consumedBytes
    },
    head: text,
    take: async (count: number): Promise<Buffer> => {
      while (bufferedBytes < count) await readChunk()
      const [first] = chunks
      const buffer =
        chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)
      chunks = buffer.length > count ? [buffer.subarray(count)] : []
      bufferedBytes -= count
      consumedBytes += count
      return buffer.subarray(0, count)
    },
    /** Waits until there is enough to recognize another program's output, or until the stream ends. */
    fillHead: async (): Promise<void> => {
      try {
        while (head.length < headBytes) await readChunk()
      } catch {
        // The end or the deadline is fine, too: the error reports what was received.
      }
    },
  }
}
