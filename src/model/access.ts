import type { SecureContextOptions } from 'node:tls'

/** The web configuration (the file format of Prometheus' exporter-toolkit), validated. */
export interface WebAccess {
  /** Null for plain HTTP. */
  readonly tls: WebTls | null
  /** Bcrypt hashes by user name. Empty when no login is required. */
  readonly users: ReadonlyMap<string, string>
  /** Headers added to every response. They override ours; an empty value removes ours. */
  readonly headers: Readonly<Record<string, string>>
  /** Token bucket: one request per `intervalMs`, at most `burst` at once. Null for no limit. */
  readonly rateLimit: { readonly intervalMs: number; readonly burst: number } | null
}

/** Client certificate policy, with the names of Go's crypto/tls ClientAuthType. */
export type ClientAuth =
  | 'NoClientCert'
  | 'RequestClientCert'
  | 'RequireAnyClientCert'
  | 'VerifyClientCertIfGiven'
  | 'RequireAndVerifyClientCert'

export interface WebTls {
  /** Certificates, keys and TLS parameters, for tls.createSecureContext. */
  readonly context: SecureContextOptions
  readonly clientAuth: ClientAuth
  /** Names (DNS, IP, e-mail or URI) of which a client certificate must carry one. Null accepts any. */
  readonly allowedSans: readonly string[] | null
}
