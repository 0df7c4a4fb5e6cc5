/** What one HTTP server and its clients may take up. */
export interface Limits {
  /** Open at once, for each address. */
  readonly connections: number
  /** Of all headers together. */
  readonly headerBytes: number
  readonly headers: number
  /** From the first byte of a request to the end of its headers, so that a slow client holds nothing up. */
  readonly headersMs: number
  /** From the first byte of a request to its last. */
  readonly requestMs: number
  readonly handshakeMs: number
  readonly urlLength: number
  /** No route takes a body; a little one does no harm. */
  readonly bodyBytes: number
  /** From the first byte of an answer to its last; streams have none. */
  readonly responseMs: number
  /** How long requests may end in after their address was given up. */
  readonly closeMs: number
}

export const defaultLimits: Limits = {
  connections: 256,
  headerBytes: 16 * 1024,
  headers: 100,
  headersMs: 10_000,
  requestMs: 30_000,
  handshakeMs: 10_000,
  urlLength: 2048,
  bodyBytes: 64 * 1024,
  responseMs: 60_000,
  closeMs: 5000,
}
