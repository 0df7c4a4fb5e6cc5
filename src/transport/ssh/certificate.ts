/** Identity and validity of an OpenSSH certificate (OpenSSH, PROTOCOL.certkeys). */
export interface Certificate {
  readonly role: 'user' | 'host'
  /** Key id set by the CA; untrusted text. */
  readonly keyId: string
  /** Unix seconds; null if there is no lower limit. */
  readonly validFrom: number | null
  /** Unix seconds; null if it never expires. */
  readonly validUntil: number | null
  /** The names for which it is valid; empty for all. Untrusted text. Absent where they are not known. */
  readonly principals?: readonly string[]
}

/** Limit of an OpenSSH packet (packet.c PACKET_MAX_SIZE). */
const maxBytes = 256 * 1024
const maxKeyIdBytes = 1024
const forever = 0xffff_ffff_ffff_ffffn

/** Number of fields between nonce and serial number: those of the plain public key, all strings or mpints. */
const keyFields: Readonly<Record<string, number>> = {
  'ssh-rsa': 2,
  'ssh-dss': 4,
  'ssh-ed25519': 1,
  'ecdsa-sha2-nistp256': 2,
  'ecdsa-sha2-nistp384': 2,
  'ecdsa-sha2-nistp521': 2,
  'sk-ssh-ed25519': 2,
  'sk-ecdsa-sha2-nistp256': 3,
}

/** Parses a line `TYPE BASE64 COMMENT` of ssh-keygen or `ssh-add -L`; null if it is not a certificate. */
export const parseCertificateLine = (line: string): Certificate | null => {
  const [type = '', blob = ''] = line.trim().split(/\s+/, 2)
  if (!isCertificateType(type) || blob.length > 2 * maxBytes) return null
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob)) return null
  return parseCertificate(Buffer.from(blob, 'base64'))
}

const isCertificateType = (type: string): boolean =>
  type.endsWith('-cert-v01@openssh.com')

/** Parses the fields up to the validity and ignores the rest; null if the bytes are not a certificate. */
export const parseCertificate = (blob: Buffer): Certificate | null => {
  if (blob.length > maxBytes) return null
  let at = 0
  const take = (length: number): Buffer | null => {
    if (length > blob.length - at) return null
    at += length
    return blob.subarray(at - length, at)
  }
  const string = (): Buffer | null => {
    const length = take(4)
    return length && take(length.readUInt32BE())
  }
  const type = string()?.toString('latin1') ?? ''
  if (!isCertificateType(type)) return null
  const plain = type.slice(0, -'-cert-v01@openssh.com'.length)
  const fields = Object.hasOwn(keyFields, plain) ? (keyFields[plain] ?? 0) : 0
  if (fields === 0 || !string()) return null
  for (let i = 0; i < fields; i++) if (!string()) return null
  const serialAndRole = take(12)
  const keyId = string()
  const principals = string()
  const validity = take(16)
  if (!serialAndRole || !keyId || !principals || !validity) return null
  const role = serialAndRole.readUInt32BE(8)
  if ((role !== 1 && role !== 2) || keyId.length > maxKeyIdBytes) return null
  const from = validity.readBigUInt64BE(0)
  const until = validity.readBigUInt64BE(8)
  return {
    role: role === 1 ? 'user' : 'host',
    keyId: keyId.toString('utf8'),
    validFrom: from === 0n ? null : seconds(from),
    validUntil: until === forever ? null : seconds(until),
    principals: parseStrings(principals),
  }
}

const maxPrincipals = 256

/** Parses a sequence of strings with their length in front. */
const parseStrings = (bytes: Buffer): string[] => {
  const strings: string[] = []
  let at = 0
  while (at + 4 <= bytes.length && strings.length < maxPrincipals) {
    const end = at + 4 + bytes.readUInt32BE(at)
    if (end > bytes.length) break
    strings.push(bytes.toString('utf8', at + 4, end))
    at = end
  }
  return strings
}

/** Limits a time to the largest date of JavaScript, so that it can be printed. */
const seconds = (value: bigint): number =>
  value > 8_640_000_000_000n ? 8_640_000_000_000 : Number(value)

/**
 * Parses the presented host certificates (of the builder and of jump hosts) from the output of `ssh -v` (sshconnect.c
 * check_host_key, sshkey.c sshkey_format_cert_validity). ssh prints local time: run it with TZ=UTC.
 */
export const parsePresentedCertificates = (verbose: string): Certificate[] =>
  verbose.split('\n').flatMap(line => {
    const words =
      /^debug1: Server host certificate: .* valid (forever|before \S+|after \S+|from \S+ to \S+)\s*$/.exec(
        line.slice(0, 4096),
      )
    const validity = words?.[1]
    if (validity === undefined) return []
    return [
      {
        role: 'host',
        keyId: /\bID "([^"]*)"/.exec(line)?.[1]?.slice(0, maxKeyIdBytes) ?? '',
        validFrom: timeAfter(validity, /^(?:after|from) (\S+)/),
        validUntil: timeAfter(validity, /^(?:before|from \S+ to) (\S+)/),
      },
    ]
  })

const timeAfter = (text: string, pattern: RegExp): number | null => {
  const time = Date.parse(`${pattern.exec(text)?.[1] ?? ''}Z`)
  return Number.isNaN(time) ? null : time / 1000
}
