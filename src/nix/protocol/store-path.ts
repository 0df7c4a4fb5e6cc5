import { createHash } from 'node:crypto'

export const defaultStoreDir = '/nix/store'

const alphabet = '0123456789abcdfghijklmnpqrsvwxyz'

/** Encodes Nix's base32: 5-bit groups from last to first, without e, o, u and t. 20 bytes give 32 characters. */
export const base32 = (bytes: Uint8Array): string => {
  const length = Math.ceil((bytes.length * 8) / 5)
  return Array.from({ length }, (_, i) => {
    const bit = (length - 1 - i) * 5
    const low = bytes[bit >> 3] ?? 0
    const high = bytes[(bit >> 3) + 1] ?? 0
    return alphabet[(((high << 8) | low) >> (bit & 7)) & 31]
  }).join('')
}

export const sha256 = (data: string | Uint8Array): Buffer =>
  createHash('sha256').update(data).digest()

export interface StorePathParts {
  /** `output:out`, `text:<ref>:<ref>`, `source`. */
  readonly type: string
  /** SHA-256 of the content or of the masked derivation, depending on the type. */
  readonly innerHash: Uint8Array
  readonly name: string
  readonly storeDir?: string
}

/** Computes a store path (store-api.cc makeStorePath). Throws if Nix rejects the name. */
export const storePath = ({
  type,
  innerHash,
  name,
  storeDir = defaultStoreDir,
}: StorePathParts): string => {
  if (!isStoreName(name)) throw new Error(`'${name}' cannot be the name of a store path`)
  const inner = Buffer.from(innerHash).toString('hex')
  const digest = fold(sha256(`${type}:sha256:${inner}:${storeDir}:${name}`))
  return `${storeDir}/${base32(digest)}-${name}`
}

/** Whether every Nix version accepts the name; new versions also reject leading dots before a dash. */
export const isStoreName = (name: string): boolean =>
  /^[0-9A-Za-z+\-._?=]{1,211}$/.test(name) && !/^\.\.?(?:-|$)/.test(name)

/** XORs a hash into 20 bytes (hash.cc compressHash). */
const fold = (hash: Uint8Array): Buffer => {
  const folded = Buffer.alloc(20)
  hash.forEach((byte, i) => (folded[i % 20] = (folded[i % 20] ?? 0) ^ byte))
  return folded
}
