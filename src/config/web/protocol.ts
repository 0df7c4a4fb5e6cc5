import { DEFAULT_CIPHERS, type SecureContextOptions } from 'node:tls'
import type { Issues } from './issues.ts'
import { parseBoolean } from './scalars.ts'
import type { TlsSection } from './schema.ts'
import { cipherList, curves, tlsVersions } from './tls-names.ts'

/** Returns versions, ciphers and curves of the section `tls_server_config`. */
export const parseProtocol = (
  section: TlsSection,
  errors: Issues,
  warnings: Issues,
): SecureContextOptions => {
  const minVersion = section.min_version || 'TLS12'
  const maxVersion = section.max_version || 'TLS13'
  const isOld = minVersion < 'TLS12'
  const path = ['tls_server_config', section.min_version ? 'min_version' : 'max_version']
  if (minVersion > maxVersion)
    errors.add(path, `min_version ${minVersion} is newer than max_version ${maxVersion}`)
  if (isOld) warnings.add(path, `min_version ${minVersion} is insecure: use TLS12`)

  const suites = (section.cipher_suites ?? []).filter(name => !!name) as string[]
  const curveNames = (section.curve_preferences ?? []).filter(name => !!name) as string[]
  const ciphers = suites.length > 0 ? cipherList(suites) : DEFAULT_CIPHERS
  return {
    minVersion: tlsVersions[minVersion]!,
    maxVersion: tlsVersions[maxVersion]!,
    honorCipherOrder: parseBoolean(section.prefer_server_cipher_suites ?? '') ?? true,
    // OpenSSL's security level 1 forbids the signatures of TLS 1.1
    ciphers: isOld ? `${ciphers}:@SECLEVEL=0` : ciphers,
    ...(curveNames.length > 0
      ? { ecdhCurve: curveNames.map(name => curves[name]).join(':') }
      : {}),
  }
}
