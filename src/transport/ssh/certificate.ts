/** What of an OpenSSH certificate tells when it ends (OpenSSH, PROTOCOL.certkeys). */
export interface Certificate {
  readonly role: 'user' | 'host'
  /** What its authority calls it; untrusted text. */
  readonly keyId: string
  /** Unix seconds; null where it is valid from the beginning. */
  readonly validFrom: number | null
  /** Unix seconds; null where it is valid for ever. */
  readonly validUntil: number | null
}

/** More does not fit into a packet of OpenSSH (packet.c PACKET_MAX_SIZE). */
const maxBytes = 256 * 1024
const maxKeyIdBytes = 1024
const forever = 0xffff_ffff_ffff_ffffn

/** The fields between the nonce and the serial number: those of the plain public key, all of them strings or mpints. */
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

/** Reads a line `TYPE BASE64 COMMENT` as ssh-keygen and `ssh-add -L` write it. Null where it is no certificate. */
export const parseCertificateLine = (line: string): Certificate | null => {
  const [type = '', blob = ''] = line.trim().split(/\s+/, 2)
  if (!isCertificateType(type) || blob.length > 2 * maxBytes) return null
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob)) return null
  return parseCertificate(Buffer.from(blob, 'base64'))
}

/** Certificate types are those of keys with `-cert-v01@openssh.com` behind them. */
const isCertificateType = (type: string): boolean =>
  type.endsWith('-cert-v01@openssh.com')

/** Reads the fields up to the validity; what stands behind them is not looked at. Null where the bytes are no certificate. */
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
  }
}

/** The largest date of JavaScript stands for all that is later, so that it can be printed. */
const seconds = (value: bigint): number =>
  value > 8_640_000_000_000n ? 8_640_000_000_000 : Number(value)

/**
 * The host certificates that were presented (the builder's, and those of jump hosts), out of what `ssh -v` says
 * (sshconnect.c check_host_key, sshkey.c sshkey_format_cert_validity). It prints local time: run it with TZ=UTC.
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
