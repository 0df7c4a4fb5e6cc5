import { isIPv6 } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { WebTls } from '../../model/index.ts'

/** Returns why the client is rejected by its certificate after the TLS handshake, or null. */
export const clientCertificateError = (
  { clientAuth, allowedSans }: WebTls,
  socket: TLSSocket,
): string | null => {
  if (clientAuth === 'NoClientCert') return null
  const certificate = socket.getPeerX509Certificate()
  if (!certificate)
    return clientAuth.startsWith('Require') ? 'no client certificate' : null
  if (clientAuth.includes('Verify') && !socket.authorized)
    return `untrusted client certificate (${String(socket.authorizationError)})`
  if (allowedSans === null) return null
  const names = parseSubjectAltNames(certificate.subjectAltName)
  const allowed = allowedSans.map(canonicalName)
  return names.some(name => allowed.includes(name))
    ? null
    : 'the client certificate has none of client_allowed_sans'
}

/** Whether the client has a certificate signed by one of the configured CAs. */
export const isVerified = (tls: WebTls | null, socket: TLSSocket): boolean =>
  tls !== null &&
  tls.clientAuth.includes('Verify') &&
  // Without `ca`, Node.js trusts all public CAs
  tls.context.ca !== undefined &&
  socket.authorized &&
  socket.getPeerX509Certificate() !== undefined

/** Parses the DNS names, IP addresses, e-mail addresses and URIs in Node's text form, which quotes unusual ones as JSON. */
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

/** Shortens IPv6 addresses as Go does, because the configuration file follows Go. */
const canonicalName = (name: string): string =>
  isIPv6(name) ? new URL(`http://[${name}]/`).hostname.slice(1, -1) : name
