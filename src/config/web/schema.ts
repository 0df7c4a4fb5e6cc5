import { cipherNames, clientAuths, curves, tlsVersions } from './tls-names.ts'

/**
 * The JSON schema of a web configuration file whose scalars are strings. Every value can be null or empty, which means
 * absent. Source: prometheus/exporter-toolkit, docs/web-configuration.md.
 */

const text = { type: 'string', nullable: true } as const
const formatted = (format: string) => ({ ...text, format })
const choice = (names: readonly string[]) => ({ ...text, enum: [...names, '', null] })
const list = (items: object) => ({ type: 'array', nullable: true, items })
const section = (properties: Readonly<Record<string, object>>) => ({
  type: 'object',
  nullable: true,
  additionalProperties: false,
  properties,
})

/** Headers that the toolkit can set, with the values of those that have a closed set. */
export const settableHeaders: Readonly<Record<string, readonly string[] | null>> = {
  'Content-Security-Policy': null,
  'Strict-Transport-Security': null,
  'X-Content-Type-Options': ['nosniff'],
  'X-Frame-Options': ['deny', 'sameorigin'],
  'X-XSS-Protection': null,
}

export const maxUsers = 1000

export const webSchema = section({
  tls_server_config: section({
    cert: text,
    key: text,
    client_ca: text,
    cert_file: text,
    key_file: text,
    client_auth_type: choice(Object.keys(clientAuths)),
    client_ca_file: text,
    client_allowed_sans: list(text),
    min_version: choice(Object.keys(tlsVersions)),
    max_version: choice(Object.keys(tlsVersions)),
    cipher_suites: list(choice(cipherNames)),
    prefer_server_cipher_suites: formatted('boolean'),
    curve_preferences: list(choice(Object.keys(curves))),
  }),
  http_server_config: section({
    http2: formatted('boolean'),
    headers: section(
      Object.fromEntries(
        Object.entries(settableHeaders).map(([name, values]) => [
          name,
          values ? choice(values) : formatted('header'),
        ]),
      ),
    ),
  }),
  basic_auth_users: {
    type: 'object',
    nullable: true,
    maxProperties: maxUsers,
    additionalProperties: text,
  },
  rate_limit: section({ interval: formatted('duration'), burst: formatted('count') }),
})

type Text = string | null

/** The section `tls_server_config` as the schema accepts it. */
export interface TlsSection {
  readonly cert?: Text
  readonly key?: Text
  readonly client_ca?: Text
  readonly cert_file?: Text
  readonly key_file?: Text
  readonly client_auth_type?: Text
  readonly client_ca_file?: Text
  readonly client_allowed_sans?: readonly Text[] | null
  readonly min_version?: Text
  readonly max_version?: Text
  readonly cipher_suites?: readonly Text[] | null
  readonly prefer_server_cipher_suites?: Text
  readonly curve_preferences?: readonly Text[] | null
}

/** A web configuration file as the schema accepts it. */
export interface WebFile {
  readonly tls_server_config?: TlsSection | null
  readonly http_server_config?: {
    readonly http2?: Text
    readonly headers?: Readonly<Record<string, Text>> | null
  } | null
  readonly basic_auth_users?: Readonly<Record<string, Text>> | null
  readonly rate_limit?: { readonly interval?: Text; readonly burst?: Text } | null
}
