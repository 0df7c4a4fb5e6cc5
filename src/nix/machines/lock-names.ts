import { createHash } from 'node:crypto'
import { isLix } from '../dialect.ts'
import { base32, sha256 } from '../protocol/store-path.ts'
import { splitOnce } from './url.ts'

/** Lock names of one machine in Nix's directory `current-load`, for every version of Nix. */
export interface LockNames {
  /** Names without the suffix `-<slot>`. */
  readonly slots: readonly string[]
  /** Complete file names. */
  readonly upload: readonly string[]
}

/** A slot file of `current-load`. */
export interface SlotFile {
  readonly machine: string
  readonly slot: number
}

/** Held by a build hook while it chooses a machine and tries every slot (build-remote.cc). */
export const mainLock = 'main-lock'

/**
 * Returns the lock file names of a machine (build-remote.cc escapeUri, openSlotLock): the store URI as written up to
 * 2.22, rendered since 2.23, shortened in Lix; `/` becomes `_`. Upload lock names that are too long are hashed since 2.24.
 */
export const lockNames = (storeUri: string): LockNames => {
  const uris = [...new Set([storeUri, renderUri(storeUri)])]
  const names = [...uris.map(escape), ...uris.map(lixName)]
  return {
    slots: names,
    upload: [...names, ...uris.map(md5Name)].map(name => `${name}.upload-lock`),
  }
}

/** A builder with more slots cannot be held: each slot costs a descriptor. */
export const maxHeldSlots = 4096

/**
 * Returns the file names of all slots of a machine, for the local version of Nix. Without a known version the names of every
 * version, since a lock of a name that Nix does not use has no effect.
 */
export const slotFileNames = (
  storeUri: string,
  maxJobs: number,
  version: string | null,
): readonly string[] => {
  const uris = [...new Set([storeUri, renderUri(storeUri)])]
  const machines = [
    ...uris.map(escape),
    ...(version === null || isLix(version) ? uris.map(lixName) : []),
  ]
  return machines.flatMap(machine =>
    Array.from({ length: Math.min(maxJobs, maxHeldSlots) }, (_, i) => `${machine}-${i}`),
  )
}

/** Parses a file name of `current-load`; null if it is not a slot. */
export const parseSlotFile = (name: string): SlotFile | null => {
  const at = name.lastIndexOf('-')
  const digits = name.slice(at + 1)
  if (at < 1 || !/^\d{1,10}$/.test(digits)) return null
  return { machine: name.slice(0, at), slot: Number(digits) }
}

/** Renders a URI as Nix does since 2.23 (store-reference.cc render): parameters are sorted and re-encoded. */
export const renderUri = (uri: string): string => {
  const [base, query] = splitOnce(uri, '?')
  const location = base.includes('://')
    ? withBrackets(base)
    : base.startsWith('/')
      ? `local://${base}`
      : base
  const params = new Map<string, string>()
  for (const item of (query ?? '').split('&')) {
    const [key, value] = splitOnce(item, '=')
    if (value !== undefined && !params.has(key)) params.set(key, decode(value))
  }
  const sorted = [...params].sort(([a], [b]) => (a < b ? -1 : 1))
  const encoded = sorted.map(([key, value]) => `${encode(key)}=${encode(value)}`)
  return encoded.length ? `${location}?${encoded.join('&')}` : location
}

/** Adds missing brackets to an IPv6 address (2.31). */
const withBrackets = (base: string): string => {
  const [, prefix = '', address = ''] =
    /^([a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?)([0-9a-f:.]+(?:%[^/]*)?)$/i.exec(base) ?? []
  return address.split(':').length > 2 ? `${prefix}[${address}]` : base
}

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Percent-encodes as url.cc percentEncode, which keeps `: @ / ?`. */
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/%(?:3A|40|2F|3F)/g, decodeURIComponent)

const escape = (uri: string): string => uri.replaceAll('/', '_')

const lixName = (uri: string): string =>
  `${escape(uri).slice(0, 48)}-${base32(sha256(uri)).slice(0, 16)}`

const md5Name = (uri: string): string =>
  escape(createHash('md5').update(uri).digest('base64'))
