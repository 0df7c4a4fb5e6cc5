/** Where in the conversation something happened. */
interface StreamPosition {
  /** Bytes that the remote had sent before the value in question. */
  readonly offset: number
  /** The first bytes of the whole conversation as cleaned text: shell noise and nologin show themselves here. */
  readonly received: string
}

/** The remote sent something that is not the protocol, or more of it than we are ready to take. */
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

/** The remote stopped talking in the middle of the conversation. */
export class UnexpectedEofError extends Error {
  override readonly name = 'UnexpectedEofError'
  readonly offset: number
  readonly received: string

  constructor({ offset, received }: StreamPosition, cause?: Error) {
    super(`the remote ended the conversation after ${offset} bytes`, { cause })
    this.offset = offset
    this.received = received
  }
}

/** The remote speaks a version of the protocol that we do not. */
export class UnsupportedVersionError extends Error {
  override readonly name = 'UnsupportedVersionError'
  readonly version: string

  constructor(protocol: 'worker' | 'serve', version: string) {
    super(`the remote speaks ${protocol} protocol ${version}, which is not supported`)
    this.version = version
  }
}

/** The remote Nix said no: an error message of the worker protocol, cleaned. */
export class NixError extends Error {
  override readonly name = 'NixError'
  /** `while ...` lines, outermost last. */
  readonly traces: readonly string[]

  constructor(message: string, traces: readonly string[] = []) {
    super(message)
    this.traces = traces
  }
}
