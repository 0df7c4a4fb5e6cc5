import type { SecureContextOptions } from 'node:tls'

/** Who may reach our HTTP server, and how: a web configuration file of Prometheus' exporters, read and checked. */
export interface WebAccess {
  /** Null for plain HTTP. */
  readonly tls: WebTls | null
  /** Bcrypt hashes by user; empty where nobody has to log in. */
  readonly users: ReadonlyMap<string, string>
  /** Headers of every answer, which win over ours; an empty value takes ours away. */
  readonly headers: Readonly<Record<string, string>>
  /** A token bucket: a request each `intervalMs`, and `burst` at once. Null for none. */
  readonly rateLimit: { readonly intervalMs: number; readonly burst: number } | null
}

/** Go's names for what is asked of clients (crypto/tls, ClientAuthType). */
export type ClientAuth =
  | 'NoClientCert'
  | 'RequestClientCert'
  | 'RequireAnyClientCert'
  | 'VerifyClientCertIfGiven'
  | 'RequireAndVerifyClientCert'

export interface WebTls {
  /** The certificates with their keys, and what of TLS is allowed: as tls.createSecureContext takes it. */
  readonly context: SecureContextOptions
  readonly clientAuth: ClientAuth
  /** A client certificate must have one of these names (DNS, IP, e-mail, URI); null where any will do. */
  readonly allowedSans: readonly string[] | null
}
