import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'

/** What is wrong with a certificate (the first one of a chain) and its key, both PEM; null where they fit. */
export const validateKeyPair = (cert: string, key: string): string | null => {
  const certificate = parseCertificate(cert)
  if (!certificate) return 'the certificate is not PEM (-----BEGIN CERTIFICATE-----)'
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(key)
  } catch (error) {
    return /passphrase|interrupted or cancelled|MISSING_PASSPHRASE/i.test(String(error))
      ? 'the key is encrypted, and there is nobody to ask for its passphrase: openssl pkey writes it without'
      : 'the key is not PEM (-----BEGIN PRIVATE KEY-----)'
  }
  return certificate.checkPrivateKey(privateKey)
    ? null
    : 'the key does not belong to the certificate'
}

/** What is wrong with the certificates that clients must be signed by. */
export const validateAuthorities = (pem: string): string | null => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
  if (!blocks) return 'client_ca has no certificate in it (-----BEGIN CERTIFICATE-----)'
  const bad = blocks.findIndex(block => !parseCertificate(block))
  return bad < 0 ? null : `certificate ${bad + 1} of client_ca cannot be read`
}

/** A sentence where the certificate is not valid at this time (Unix seconds). */
export const validityWarning = (pem: string, now: number): string | null => {
  const certificate = parseCertificate(pem)
  if (!certificate) return null
  const { validFrom, validTo } = certificate
  const day = (text: string) =>
    new Date(text).toISOString().slice(0, 16).replace('T', ' ')
  if (Date.parse(validTo) / 1000 < now)
    return `the certificate expired on ${day(validTo)} UTC: clients will refuse it, renew it`
  if (Date.parse(validFrom) / 1000 > now)
    return `the certificate is valid only from ${day(validFrom)} UTC: clients refuse it until then; is the clock right?`
  return null
}

const parseCertificate = (pem: string): X509Certificate | null => {
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}
