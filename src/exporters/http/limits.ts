/** Limits of one HTTP server. */
export interface Limits {
  /** Open connections per address. */
  readonly connections: number
  /** Open connections per client address; more close the client's oldest idle one. */
  readonly connectionsPerClient: number
  /** Open event streams, of all addresses. */
  readonly streams: number
  /** Open event streams per client address. */
  readonly streamsPerClient: number
  /** Size of all headers. */
  readonly headerBytes: number
  readonly headers: number
  /** From the first byte of a request to the end of its headers. */
  readonly headersMs: number
  /** From the first byte of a request to its last. */
  readonly requestMs: number
  readonly handshakeMs: number
  readonly urlLength: number
  /** Routes ignore bodies; larger ones are rejected. */
  readonly bodyBytes: number
  /** From the first byte of a response to its last, except streams. */
  readonly responseMs: number
  /** Time for running requests after their address was removed. */
  readonly closeMs: number
}

export const defaultLimits: Limits = {
  connections: 256,
  connectionsPerClient: 192,
  streams: 128,
  streamsPerClient: 100,
  headerBytes: 16 * 1024,
  headers: 100,
  headersMs: 5000,
  requestMs: 30_000,
  handshakeMs: 10_000,
  urlLength: 2048,
  bodyBytes: 64 * 1024,
  responseMs: 60_000,
  closeMs: 5000,
}
