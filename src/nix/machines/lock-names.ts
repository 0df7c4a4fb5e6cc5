import { createHash } from 'node:crypto'
import { base32, sha256 } from '../protocol/store-path.ts'
import { splitOnce } from './url.ts'

/** The names that one machine has in Nix's directory `current-load`, whichever Nix takes the locks. */
export interface LockNames {
  /** What stands before `-<slot>`. */
  readonly slots: readonly string[]
  /** Whole file names. */
  readonly upload: readonly string[]
}

/** A file of `current-load` that is a slot, with the machine's part of its name. */
export interface SlotFile {
  readonly machine: string
  readonly slot: number
}

/** The lock under which a hook chooses a machine, and tries every slot while it does (build-remote.cc). */
export const mainLock = 'main-lock'

/**
 * The lock files of a machine (build-remote.cc escapeUri, openSlotLock): the store URI as written up to 2.22, rendered
 * from 2.23 on, shortened in Lix; `/` is `_`. Too long names of upload locks are hashed from 2.24 on.
 */
export const lockNames = (storeUri: string): LockNames => {
  const uris = [...new Set([storeUri, renderUri(storeUri)])]
  const names = [...uris.map(escape), ...uris.map(lixName)]
  return {
    slots: names,
    upload: [...names, ...uris.map(md5Name)].map(name => `${name}.upload-lock`),
  }
}

/** Reads a file name of `current-load`; null where it is no slot. */
export const parseSlotFile = (name: string): SlotFile | null => {
  const at = name.lastIndexOf('-')
  const digits = name.slice(at + 1)
  if (at < 1 || !/^\d{1,10}$/.test(digits)) return null
  return { machine: name.slice(0, at), slot: Number(digits) }
}

/** The URI as Nix prints it from 2.23 on (store-reference.cc render): parameters sorted and encoded anew. */
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

/** An IPv6 address without brackets gets them (2.31). */
const withBrackets = (base: string): string =>
  base.replace(
    /^([a-z][a-z0-9+.-]*:\/\/(?:[^@/]*@)?)([0-9a-f]*:[0-9a-f:.]*:[0-9a-f:.]*(?:%[^/]*)?)$/i,
    '$1[$2]',
  )

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What Nix leaves as it is (url.cc percentEncode with `: @ / ?` kept). */
const encode = (text: string): string =>
  encodeURIComponent(text).replaceAll(/%(?:3A|40|2F|3F)/g, decodeURIComponent)

const escape = (uri: string): string => uri.replaceAll('/', '_')

const lixName = (uri: string): string =>
  `${escape(uri).slice(0, 48)}-${base32(sha256(uri)).slice(0, 16)}`

const md5Name = (uri: string): string =>
  escape(createHash('md5').update(uri).digest('base64'))
