import { DEFAULT_CIPHERS, type SecureContextOptions } from 'node:tls'
import { cipherList, cipherNames, curves, tlsVersions } from './tls-names.ts'
import {
  booleanOf,
  choiceOf,
  choicesOf,
  type Faults,
  type Fields,
} from './yaml-fields.ts'

export const protocolKeys = [
  'min_version',
  'max_version',
  'cipher_suites',
  'prefer_server_cipher_suites',
  'curve_preferences',
] as const

/** Versions, ciphers and curves of the section `tls_server_config`. */
export const protocolOf = (
  fields: Fields,
  faults: Faults,
  warnings: Faults,
): SecureContextOptions => {
  const nameOf = (key: (typeof protocolKeys)[number]) => `tls_server_config.${key}`
  const version = (key: 'min_version' | 'max_version', fallback: string) =>
    choiceOf(fields[key], nameOf(key), Object.keys(tlsVersions), faults) ?? fallback
  const choices = (
    key: 'cipher_suites' | 'curve_preferences',
    known: readonly string[],
  ): readonly string[] => choicesOf(fields[key], nameOf(key), known, faults)

  const [least, most] = [version('min_version', 'TLS12'), version('max_version', 'TLS13')]
  const isOld = least < 'TLS12'
  const line = (fields['min_version'] ?? fields['max_version'])?.line ?? 1
  if (least > most)
    faults.add(line, `min_version ${least} is newer than max_version ${most}`)
  if (isOld) warnings.add(line, `min_version ${least} is broken: take TLS12`)

  const suites = choices('cipher_suites', cipherNames)
  const curveNames = choices('curve_preferences', Object.keys(curves))
  const ciphers = suites.length > 0 ? cipherList(suites) : DEFAULT_CIPHERS
  const prefer = 'prefer_server_cipher_suites'
  return {
    minVersion: tlsVersions[least]!,
    maxVersion: tlsVersions[most]!,
    honorCipherOrder: booleanOf(fields[prefer], nameOf(prefer), faults) ?? true,
    // OpenSSL's level 1 forbids the signatures of TLS 1.1
    ciphers: isOld ? `${ciphers}:@SECLEVEL=0` : ciphers,
    ...(curveNames.length > 0
      ? { ecdhCurve: curveNames.map(name => curves[name]).join(':') }
      : {}),
  }
}
