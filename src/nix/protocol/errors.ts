/** Position in the received stream. */
interface StreamPosition {
  /** Bytes received before the value. */
  readonly offset: number
  /** The first bytes of the session as sanitized text: contains shell output or a nologin message. */
  readonly received: string
}

/** The remote violated the protocol or exceeded a limit. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly what: string
  readonly offset: number
  readonly received: string

  constructor(what: string, { offset, received }: StreamPosition) {
    super(`${what} at byte ${offset}`)
    this.what = what
    this.offset = offset
    this.received = received
  }
}

/** The stream ended in the middle of the session. */
export class UnexpectedEofError extends Error {
  override readonly name = 'UnexpectedEofError'
  readonly offset: number
  readonly received: string

  constructor({ offset, received }: StreamPosition, cause?: Error) {
    super(`the remote closed the connection after ${offset} bytes`, { cause })
    this.offset = offset
    this.received = received
  }
}

/** The remote uses an unsupported protocol version. */
export class UnsupportedVersionError extends Error {
  override readonly name = 'UnsupportedVersionError'
  readonly version: string

  constructor(protocol: 'worker' | 'serve', version: string) {
    super(`the remote uses ${protocol} protocol ${version}, which is not supported`)
    this.version = version
  }
}

/** An error reported by the remote Nix over the worker protocol; the message is sanitized. */
export class NixError extends Error {
  override readonly name = 'NixError'
  /** `while ...` lines, outermost last. */
  readonly traces: readonly string[]

  constructor(message: string, traces: readonly string[] = []) {
    super(message)
    this.traces = traces
  }
}
