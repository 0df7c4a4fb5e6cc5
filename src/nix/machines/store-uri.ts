import type { NixDialect } from '../dialect.ts'
import {
  parseBareAddress,
  parseAuthority,
  parseQuery,
  parsesAsUrl,
  splitOnce,
  type Authority,
} from './url.ts'

/** The first field of a machine line as Nix interprets it (machines.cc Machine, store-reference.cc). */
export interface StoreUri {
  /** As written, with `ssh://` added where Nix adds it. */
  readonly text: string
  /** The text before `://`; `local` for paths, or the word itself: `auto`, `daemon`, `local`. */
  readonly scheme: string
  readonly user: string | null
  /** Without brackets; null if the store has no host. */
  readonly host: string | null
  readonly port: number | null
  /** Query parameters, decoded; the first of two equal keys wins. */
  readonly params: Readonly<Record<string, string>>
  readonly error: StoreUriError | null
}

export interface StoreUriError {
  /** True if Nix rejects the whole list; otherwise only this store fails, when it is opened. */
  readonly isFatal: boolean
  /** A predicate to put after the URI: `has no host`. */
  readonly message: string
}

/** Parses a store URI as this Nix does. Never throws: errors are returned as `error`. */
export const parseStoreUri = (configured: string, dialect: NixDialect): StoreUri => {
  const text = withScheme(configured, dialect)
  const [base, query = ''] = splitOnce(text, '?')
  const params = parseQuery(query, dialect)
  const location = parseLocation(base)
  const authority =
    location.authority === null ? null : parseAuthority(location.authority, dialect)
  const bare =
    authority === null && location.path === ''
      ? parseBareAddress(location.authority, dialect)
      : null
  const isUrl =
    parsesAsUrl(text, dialect) &&
    (location.authority === null || authority !== null || !dialect.authorities)
  const isReadable = isUrl || isWord(base) || isPath(base) || bare !== null
  const address = authority ?? bare
  return {
    text,
    scheme: location.scheme,
    user: address?.user ?? null,
    host: address?.host || null,
    port: address?.port ?? null,
    params: params ?? {},
    error:
      params === null || !isReadable
        ? { isFatal: dialect.parsesUris, message: 'is not a store URI' }
        : isSshScheme(location.scheme)
          ? validateSshAuthority(address, location.path, dialect)
          : null,
  }
}

/** Whether Nix connects to stores of this scheme with ssh. */
export const isSshScheme = (scheme: string): boolean =>
  scheme === 'ssh' || scheme === 'ssh-ng' || scheme === 'mounted-ssh-ng'

/** Whether Nix uses ssh for this builder. For the plain destination `localhost` it runs the command directly (ssh.cc fakeSSH). */
export const isReachedBySsh = (
  builder: Pick<StoreUri, 'scheme' | 'user' | 'host' | 'port'>,
): boolean =>
  isSshScheme(builder.scheme) &&
  builder.host !== null &&
  !(builder.host === 'localhost' && builder.user === null && builder.port === null)

/**
 * Returns the destination and `-p` that this Nix passes to ssh (ssh.cc). Before 2.31 and in Lix the destination is
 * everything between `//` and `?`, including a `:port` or `/path`, which ssh cannot resolve; Lix takes the port from
 * `?port=`. Null if Nix does not use ssh for the store.
 */
export const sshDestination = (
  uri: Pick<StoreUri, 'scheme' | 'user' | 'host' | 'port' | 'params'> & {
    readonly storeUri: string
  },
  dialect: NixDialect,
): { readonly destination: string; readonly port: number | null } | null => {
  if (!isSshScheme(uri.scheme) || uri.host === null) return null
  if (dialect.authorities)
    return {
      destination: uri.user === null ? uri.host : `${uri.user}@${uri.host}`,
      port: uri.port,
    }
  const [base] = splitOnce(uri.storeUri, '?')
  const literal = base.slice(base.indexOf('://') + 3)
  const requestedPort = dialect.lix ? Number(uri.params['port']) : 0
  return {
    destination: literal.replace(/^((?:[^@]*@)?)\[([^[\]]*)\]$/, '$1$2'),
    port: requestedPort > 0 ? requestedPort : null,
  }
}

const withScheme = (text: string, dialect: NixDialect): string => {
  const isComplete = dialect.legacySchemeDetection
    ? text.includes('://') || /^(?:local|remote|auto|\/)/.test(text)
    : text.includes('/') || /^(?:auto|daemon|local)(?:\?|$)|^\?/.test(text)
  return isComplete ? text : `ssh://${text}`
}

const isWord = (base: string): boolean =>
  base === '' || base === 'auto' || base === 'daemon' || base === 'local'

const isPath = (base: string): boolean => !base.includes('://') && base.includes('/')

interface StoreLocation {
  readonly scheme: string
  /** The part that can contain a host, as written; null for words, paths and schemes without hosts. */
  readonly authority: string | null
  /** The text from the first `/`. */
  readonly path: string
}

const parseLocation = (base: string): StoreLocation => {
  if (isWord(base)) return { scheme: base || 'auto', authority: null, path: '' }
  const url = /^([a-z][a-z0-9+.-]*):(\/\/)?/i.exec(base)
  const scheme = url?.[1] ?? base
  if (!url?.[2]) {
    const isDirectory = isPath(base) && !url
    return { scheme: isDirectory ? 'local' : scheme, authority: null, path: base }
  }
  const rest = base.slice(url[0].length)
  const slash = rest.indexOf('/')
  const [authority, path] =
    slash < 0 ? [rest, ''] : [rest.slice(0, slash), rest.slice(slash)]
  return { scheme, authority: hostlessSchemes.has(scheme) ? null : authority, path }
}

const hostlessSchemes: ReadonlySet<string> = new Set([
  'unix',
  'local',
  'file',
  'dummy',
  'daemon',
])

/** Returns what ssh stores reject when they are opened (ssh.cc SSHMaster, ssh-store.cc). */
const validateSshAuthority = (
  address: Authority | null,
  path: string,
  dialect: NixDialect,
): StoreUriError | null => {
  if (!address?.host) return { isFatal: false, message: 'has no host' }
  if (
    address.host.startsWith('-') ||
    address.user?.startsWith('-') ||
    address.user === ''
  )
    return {
      isFatal: false,
      message: 'has a user or host that ssh could interpret as an option',
    }
  if (dialect.authorities && path !== '')
    return { isFatal: false, message: 'has a path after the host' }
  return null
}
