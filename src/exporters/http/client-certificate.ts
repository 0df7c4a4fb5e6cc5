import { isIPv6 } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { WebTls } from '../../model/index.ts'

/** Why this client, whose handshake is done, may not come in by its certificate; null where it may. */
export const clientCertificateError = (
  { clientAuth, allowedSans }: WebTls,
  socket: TLSSocket,
): string | null => {
  if (clientAuth === 'NoClientCert') return null
  const certificate = socket.getPeerX509Certificate()
  if (!certificate)
    return clientAuth.startsWith('Require') ? 'it sent no certificate' : null
  if (clientAuth.includes('Verify') && !socket.authorized)
    return `its certificate is not trusted (${String(socket.authorizationError)})`
  if (allowedSans === null) return null
  const names = parseSubjectAltNames(certificate.subjectAltName)
  const allowed = allowedSans.map(canonicalName)
  return names.some(name => allowed.includes(name))
    ? null
    : 'its certificate has none of client_allowed_sans'
}

/** Whether this client has proven itself by a certificate that one of our own CAs has signed. */
export const isVerified = (tls: WebTls | null, socket: TLSSocket): boolean =>
  tls !== null &&
  tls.clientAuth.includes('Verify') &&
  // Without, the public CAs are trusted, and they sign for anybody
  tls.context.ca !== undefined &&
  socket.authorized &&
  socket.getPeerX509Certificate() !== undefined

/** The DNS names, addresses, e-mail addresses and URIs of Node's text of the extension; odd ones are quoted as JSON. */
const parseSubjectAltNames = (subjectAltName: string | undefined): readonly string[] =>
  [
    ...(subjectAltName ?? '').matchAll(
      /(?:^|, )(?:DNS|IP Address|email|URI):("(?:[^"\\]|\\.)*"|[^,]*)/g,
    ),
  ].map(([, name = '']) => canonicalName(name.startsWith('"') ? unquote(name) : name))

const unquote = (text: string): string => {
  try {
    return String(JSON.parse(text))
  } catch {
    return text
  }
}

/** IPv6 has many spellings; Go, and so the file, has the short one. */
const canonicalName = (name: string): string =>
  isIPv6(name) ? new URL(`http://[${name}]/`).hostname.slice(1, -1) : name
