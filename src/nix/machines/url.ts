import { isIPv6 } from 'node:net'
import type { NixDialect } from '../dialect.ts'

/** Parts of a URL authority, percent-decoded if this Nix decodes them. */
export interface Authority {
  readonly user: string | null
  /** Without brackets; can be empty. */
  readonly host: string
  readonly port: number | null
}

/**
 * Whether Nix's URL parser accepts this text, apart from its authority. Up to 2.30 a regular expression (url-parts.hh),
 * later RFC 3986 with spaces and quotes in queries (url.cc).
 */
export const parsesAsUrl = (text: string, dialect: NixDialect): boolean =>
  (dialect.authorities ? rfcUrl : oldUrl).test(text)

/** Splits `user@host:port`; null if Nix's URL parser rejects it. */
export const parseAuthority = (text: string, dialect: NixDialect): Authority | null =>
  dialect.authorities ? rfcAuthority(text) : oldAuthority(text)

/** Parses `user@fe80::1%eth0`, which Nix >= 2.31 accepts as an IPv6 address although it is not an RFC 3986 authority. */
export const parseBareAddress = (
  text: string | null,
  dialect: NixDialect,
): Authority | null => {
  if (text === null || !dialect.authorities || !dialect.bareIpv6) return null
  const [before, after] = splitOnce(text, '@')
  const host = (after ?? before).replace(/^\[(.*)\]$/, '$1')
  const [address, zone] = splitOnce(host, '%')
  if (!isIPv6(address) || (zone !== undefined && !dialect.bareZones)) return null
  return { user: after === undefined ? null : before, host, port: null }
}

/** Parses and decodes `a=1&b=2`; items without `=` are ignored. Null if Nix rejects the query. */
export const parseQuery = (
  query: string,
  dialect: NixDialect,
): Readonly<Record<string, string>> | null => {
  if (dialect.authorities && !rfcQuery.test(query)) return null
  const params = new Map<string, string>()
  for (const item of query.split('&')) {
    const [key, value] = splitOnce(item, '=')
    if (value === undefined) continue
    const decoded = percentDecode(value)
    if (decoded === null) return null
    const name = dialect.authorities ? (percentDecode(key) ?? key) : key
    if (!params.has(name)) params.set(name, decoded)
  }
  return Object.fromEntries(params)
}

/** Splits at the first separator; the second part is undefined if there is none. */
export const splitOnce = (
  text: string,
  separator: string,
): readonly [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** Decodes `%41`; null if a `%` is not followed by two hex digits. Invalid UTF-8 becomes U+FFFD. */
const percentDecode = (text: string): string | null => {
  if (/%(?![0-9a-f]{2})/i.test(text)) return null
  return text.replaceAll(/(?:%[0-9a-f]{2})+/gi, escapes =>
    Buffer.from(escapes.replaceAll('%', ''), 'hex').toString('utf8'),
  )
}

const rfcAuthority = (text: string): Authority | null => {
  const match = /^(?:([^@[\]]*)@)?(?:\[([^[\]]*)\]|([^:@[\]]*))(?::(\d*))?$/.exec(text)
  if (!match) return null
  const [, userinfo, bracketed, name = '', digits = ''] = match
  if (!rfcName.test(name) || !rfcUser.test(userinfo ?? '')) return null
  // a zone id follows an encoded percent sign
  if (bracketed !== undefined && !isLiteral(bracketed.replace(/%25.+$/, ''))) return null
  const port = digits === '' ? null : parsePort(digits)
  if (digits !== '' && port === null) return null
  return {
    user: userinfo === undefined ? null : percentDecode(userinfo.split(':', 1)[0] ?? ''),
    host: percentDecode(bracketed ?? name) ?? '',
    port,
  }
}

const oldAuthority = (text: string): Authority | null => {
  if (!oldAuthorityOnly.test(text)) return null
  const at = text.indexOf('@')
  const user = at < 0 ? null : text.slice(0, at)
  const rest = text.slice(at + 1)
  if (isIPv6(rest)) return { user, host: rest, port: null }
  const [, bracketed, name, digits] =
    /^(?:\[([^\]]*)\]|(.*?))(?::(\d+))?$/.exec(rest) ?? []
  return { user, host: bracketed ?? name ?? '', port: parsePort(digits ?? '') }
}

const parsePort = (digits: string): number | null => {
  const port = Number(digits)
  return port >= 1 && port <= 65_535 ? port : null
}

/** Whether an address is valid in brackets: IPv6 without a zone, or IPvFuture (RFC 3986). */
const isLiteral = (text: string): boolean =>
  (isIPv6(text) && !text.includes('%')) ||
  /^v[0-9a-f]+\.[\w.~!$&'()*+,;=:-]+$/i.test(text)

const pct = '%[0-9a-fA-F]{2}'

const oldChar = `[\\w.~!$&'"()*+,;=-]|${pct}`
const oldSegment = '[0-9a-fA-F:]+(?:%\\w+)?'
const oldAuthorityText =
  `(?:(?:${oldChar}|:)*@)?` +
  `(?:\\[${oldSegment}\\]|${oldSegment}|(?:${oldChar})*)(?::[0-9]+)?`
const oldAuthorityOnly = new RegExp(`^${oldAuthorityText}$`)
const oldPath = `(?:${oldChar}|[:@/])*`
// an invalid authority is accepted as the beginning of a path
const oldUrl = new RegExp(
  `^[a-z][a-z0-9+.-]*:(?://${oldAuthorityText}(?:/${oldPath})?|${oldPath})` +
    `(?:\\?(?:${oldChar}|[:@/? ])*)?$`,
)

const rfcChar = `[\\w.~!$&'()*+,;=-]|${pct}`
const rfcName = new RegExp(`^(?:${rfcChar})*$`)
const rfcUser = new RegExp(`^(?:${rfcChar}|:)*$`)
const rfcPath = `(?:${rfcChar}|[:@/])*`
const rfcQueryText = `(?:${rfcChar}|[:@/? "[\\]])*`
const rfcQuery = new RegExp(`^${rfcQueryText}$`)
const rfcUrl = new RegExp(
  `^[a-zA-Z][a-zA-Z0-9+.-]*:(?://[^/?]*(?:/${rfcPath})?|(?!//)${rfcPath})(?:\\?${rfcQueryText})?$`,
)
