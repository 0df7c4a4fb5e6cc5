/** What field 8 of a machine line holds. Nix decodes it and writes it after the host name into a known_hosts file. */
export type PinnedKey =
  | { readonly isValid: true }
  | {
      readonly isValid: false
      /** What it is instead. */
      readonly what: string
      /** The right value of the field; null if it cannot be made from the present one. */
      readonly corrected: string | null
      /** The line of a host key authority, which belongs into a known_hosts file. */
      readonly authority?: string
    }

const typePattern = /^(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-|rsa-sha2-)[\w@.-]{1,60}$/
/** Longer values are no public keys. */
const maxChars = 16 * 1024

/** Examines the base64 of field 8 (ssh.cc, sshpubkey.c): it must hold `TYPE KEY COMMENT`. */
export const examinePinnedKey = (base64: string): PinnedKey => {
  if (base64.length > maxChars) return invalid('it is too long')
  const bytes = Buffer.from(base64, 'base64')
  const [text = ''] = bytes.toString('utf8').trim().split('\n', 1)
  const [first = '', second = '', third = ''] = text.trim().split(/\s+/, 4)
  if (isKey(first, second)) return { isValid: true }
  if (first === '@cert-authority')
    return { ...invalid('it is the line of an authority'), authority: text.trim() }
  if (isKey(second, third))
    return invalid('it is a line of ssh-keyscan or known_hosts', `${second} ${third}`)
  const type = blobType(bytes)
  if (type !== null) return invalid('it is the key without its type', `${type} ${base64}`)
  if (/^AAAA/.test(first) && blobType(Buffer.from(first, 'base64')) !== null)
    return invalid(
      'it is the key without its type',
      `${blobType(Buffer.from(first, 'base64')) ?? ''} ${first}`,
    )
  if (/^(?:SHA256|MD5):/.test(first)) return invalid('it is a fingerprint')
  if (text.includes('PRIVATE KEY')) return invalid('it is a private key')
  const twice = Buffer.from(first, 'base64').toString('utf8').trim().split(/\s+/, 3)
  if (isKey(twice[0] ?? '', twice[1] ?? ''))
    return invalid('it is encoded twice', twice.slice(0, 2).join(' '))
  if (/^\/|\.pub$/.test(text)) return invalid('it is the path of a file')
  return invalid('it does not hold TYPE KEY')
}

const invalid = (what: string, line: string | null = null) =>
  ({
    isValid: false,
    what,
    corrected: line === null ? null : Buffer.from(`${line}\n`).toString('base64'),
  }) as const

const isKey = (type: string, blob: string): boolean =>
  typePattern.test(type) && blobType(Buffer.from(blob, 'base64')) === type

/** The type in the first field of a key blob (RFC 4253 6.6). */
const blobType = (blob: Buffer): string | null => {
  if (blob.length < 8) return null
  const length = blob.readUInt32BE(0)
  if (length > 64 || blob.length <= 4 + length) return null
  const type = blob.toString('latin1', 4, 4 + length)
  return typePattern.test(type) ? type : null
}
