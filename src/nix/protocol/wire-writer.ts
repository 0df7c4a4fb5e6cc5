/** Encodes a word: 8 bytes, little-endian, unsigned. */
export const word = (value: number | bigint | boolean): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

/** Encodes a string or store path: length, UTF-8 bytes, zeros up to a multiple of 8. */
export const text = (value: string): Buffer => binary(Buffer.from(value, 'utf8'))

/** Encodes bytes as a string. */
export const binary = (bytes: Uint8Array): Buffer =>
  Buffer.concat([word(bytes.length), bytes, Buffer.alloc(-bytes.length & 7)])

/** Encodes a list or set: count and items. Sets must be sorted. */
export const list = (items: readonly Buffer[]): Buffer =>
  Buffer.concat([word(items.length), ...items])

/** Encodes a map of strings, sorted by the bytes of the keys like std::map. */
export const map = (entries: Readonly<Record<string, string>>): Buffer =>
  list(sortedEntries(entries).map(([key, value]) => concat(text(key), text(value))))

export const concat = (...parts: readonly Buffer[]): Buffer => Buffer.concat(parts)

/** Returns entries in the order of Nix's maps. */
export const sortedEntries = (
  entries: Readonly<Record<string, string>>,
): readonly (readonly [string, string])[] =>
  Object.entries(entries).sort(([a], [b]) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  )
