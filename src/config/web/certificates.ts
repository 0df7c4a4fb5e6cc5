import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'

/** Returns why a certificate (the first one of a chain) and its key, both PEM, cannot be used together; null if they can. */
export const validateKeyPair = (cert: string, key: string): string | null => {
  const certificate = parseCertificate(cert)
  if (!certificate) return 'the certificate is not PEM (-----BEGIN CERTIFICATE-----)'
  let privateKey: KeyObject
  try {
    privateKey = createPrivateKey(key)
  } catch (error) {
    return /passphrase|interrupted or cancelled|MISSING_PASSPHRASE/i.test(String(error))
      ? 'the key is encrypted, and a service cannot ask for the passphrase: remove it with openssl pkey'
      : 'the key is not PEM (-----BEGIN PRIVATE KEY-----)'
  }
  return certificate.checkPrivateKey(privateKey)
    ? null
    : 'the key does not belong to the certificate'
}

/** Returns why the CA certificates for clients cannot be used; null if they can. */
export const validateAuthorities = (pem: string): string | null => {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g)
  if (!blocks) return 'client_ca contains no certificate (-----BEGIN CERTIFICATE-----)'
  const bad = blocks.findIndex(block => !parseCertificate(block))
  return bad < 0 ? null : `certificate ${bad + 1} of client_ca cannot be read`
}

/** Returns a warning if the certificate is not valid at this time (Unix seconds). */
export const validityWarning = (pem: string, now: number): string | null => {
  const certificate = parseCertificate(pem)
  if (!certificate) return null
  const { validFrom, validTo } = certificate
  const day = (text: string) =>
    new Date(text).toISOString().slice(0, 16).replace('T', ' ')
  if (Date.parse(validTo) / 1000 < now)
    return `the certificate expired on ${day(validTo)} UTC: clients reject it, renew it`
  if (Date.parse(validFrom) / 1000 > now)
    return `the certificate is valid only from ${day(validFrom)} UTC: clients reject it until then; check the clock`
  return null
}

const parseCertificate = (pem: string): X509Certificate | null => {
  try {
    return new X509Certificate(pem)
  } catch {
    return null
  }
}
