import { createHash, createHmac } from 'node:crypto'
import { trimEnd } from '../../text/trim-end.ts'

/** One line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  readonly marker: 'revoked' | 'cert-authority' | null
  /** Patterns as written, or one `|1|salt|hash`. */
  readonly hosts: readonly string[]
  readonly type: string
  /** Base64 key blob. */
  readonly blob: string
  readonly file: string
  readonly line: number
}

const maxBytes = 4 * 1024 * 1024

/** Reads a known_hosts file; lines that are not key lines are ignored, as ssh does. */
export const parseKnownHosts = (text: string, file: string): KnownHost[] => {
  const entries: KnownHost[] = []
  let number = 0
  for (const raw of text.slice(0, maxBytes).split('\n')) {
    number++
    const words = raw.trim().split(/\s+/)
    if (!words[0] || words[0].startsWith('#')) continue
    let marker: KnownHost['marker'] = null
    if (words[0].startsWith('@')) {
      const name = words.shift()!.slice(1)
      if (name !== 'revoked' && name !== 'cert-authority') continue
      marker = name
    }
    const [hosts, type, blob] = words
    if (!hosts || !type || !blob || !/^[A-Za-z0-9+/=]+$/.test(blob)) continue
    if (keyTypeOf(blob) !== type) continue
    entries.push({ marker, hosts: hosts.split(','), type, blob, file, line: number })
  }
  return entries
}

/** Returns the key type in the first field of a blob (RFC 4253 6.6), or null. */
export const keyTypeOf = (blob: string): string | null => {
  const bytes = Buffer.from(blob, 'base64')
  if (bytes.length < 8) return null
  const length = bytes.readUInt32BE(0)
  return length > 64 || bytes.length < 4 + length
    ? null
    : bytes.toString('latin1', 4, 4 + length)
}

/** Returns the fingerprint as ssh prints it: `SHA256:...`. */
export const fingerprintOf = (blob: string): string =>
  'SHA256:' +
  trimEnd(createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64'), '=')

/** Returns the names that ssh looks up: `[host]:port` and then the bare host, or only the host for port 22. */
export const lookupNames = (host: string, port: number): string[] => {
  const name = host.toLowerCase()
  return port === 22 ? [name] : [`[${name}]:${port}`, name]
}

/** Whether a line matches this name, including hashed, negated and wildcard patterns. */
export const matchesHost = (entry: KnownHost, name: string): boolean => {
  let matched = false
  for (const pattern of entry.hosts) {
    if (pattern.startsWith('|1|')) {
      if (hashedMatches(pattern, name)) matched = true
    } else if (pattern.startsWith('!')) {
      if (wildcardMatches(pattern.slice(1).toLowerCase(), name)) return false
    } else if (wildcardMatches(pattern.toLowerCase(), name)) matched = true
  }
  return matched
}

const hashedMatches = (pattern: string, name: string): boolean => {
  const [, , salt, hash] = pattern.split('|')
  if (!salt || !hash) return false
  return (
    createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash
  )
}

/** Matches `*` and `?` in time proportional to pattern times name, because both can be long. */
const wildcardMatches = (pattern: string, name: string): boolean => {
  let p = 0
  let n = 0
  let star = -1
  let mark = 0
  while (n < name.length) {
    if (pattern[p] === '?' || (pattern[p] === name[n] && pattern[p] !== '*')) {
      p++
      n++
    } else if (pattern[p] === '*') {
      star = p++
      mark = n
    } else if (star >= 0) {
      p = star + 1
      n = ++mark
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/**
 * The service that has a copy of one of the files from the time it started, as a parameter of kinds: systemd passes
 * copies as /run/credentials/UNIT/NAME (systemd.exec(5), LoadCredential).
 */
export const serviceWithCopy = (
  files: readonly string[],
): { readonly service?: string } => {
  const units = files.map(file => /^\/run\/credentials\/([^/]+)\//.exec(file)?.[1])
  const unit = units.find(name => name !== undefined)
  return unit === undefined ? {} : { service: unit.replace(/\.service$/, '') }
}
