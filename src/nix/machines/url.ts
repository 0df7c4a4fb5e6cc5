import { isIPv6 } from 'node:net'
import type { NixDialect } from '../dialect.ts'

/** The authority of a URL in its parts, decoded where this Nix decodes. */
export interface Authority {
  readonly user: string | null
  /** Without brackets; may be empty. */
  readonly host: string
  readonly port: number | null
}

/**
 * Would Nix's own URL parser take this text, its authority apart? Up to 2.30 a regular expression (url-parts.hh), then
 * RFC 3986 with blanks and quotes in queries (url.cc).
 */
export const parsesAsUrl = (text: string, dialect: NixDialect): boolean =>
  (dialect.authorities ? rfcUrl : oldUrl).test(text)

/** Splits `user@host:port`; null where Nix's URL parser rejects it. */
export const parseAuthority = (text: string, dialect: NixDialect): Authority | null =>
  dialect.authorities ? rfcAuthority(text) : oldAuthority(text)

/** `user@fe80::1%eth0`: what Nix >= 2.31 takes for an IPv6 address though it is no authority of RFC 3986. */
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

/** The parameters of `a=1&b=2`, decoded; items without `=` are ignored. Null where Nix rejects the query. */
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

/** The text before and after the first separator; undefined where there is none. */
export const splitOnce = (
  text: string,
  separator: string,
): readonly [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** Decodes `%41`; null where a `%` is not followed by two hex digits. What is not UTF-8 becomes U+FFFD. */
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

/** An address that may stand in brackets: IPv6 without a zone, or what RFC 3986 calls IPvFuture. */
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
// a broken authority passes as the beginning of a path
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
