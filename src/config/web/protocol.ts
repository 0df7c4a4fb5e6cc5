import { DEFAULT_CIPHERS, type SecureContextOptions } from 'node:tls'
import { cipherList, cipherNames, curves, tlsVersions } from './tls-names.ts'
import {
  parseBoolean,
  parseChoice,
  parseChoices,
  type ErrorList,
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
export const parseProtocol = (
  fields: Fields,
  errors: ErrorList,
  warnings: ErrorList,
): SecureContextOptions => {
  const fieldName = (key: (typeof protocolKeys)[number]) => `tls_server_config.${key}`
  const version = (key: 'min_version' | 'max_version', fallback: string) =>
    parseChoice(fields[key], fieldName(key), Object.keys(tlsVersions), errors) ?? fallback
  const choices = (
    key: 'cipher_suites' | 'curve_preferences',
    known: readonly string[],
  ): readonly string[] => parseChoices(fields[key], fieldName(key), known, errors)

  const [minVersion, maxVersion] = [
    version('min_version', 'TLS12'),
    version('max_version', 'TLS13'),
  ]
  const isOld = minVersion < 'TLS12'
  const lineNumber = (fields['min_version'] ?? fields['max_version'])?.line ?? 1
  if (minVersion > maxVersion)
    errors.add(
      lineNumber,
      `min_version ${minVersion} is newer than max_version ${maxVersion}`,
    )
  if (isOld) warnings.add(lineNumber, `min_version ${minVersion} is broken: take TLS12`)

  const suites = choices('cipher_suites', cipherNames)
  const curveNames = choices('curve_preferences', Object.keys(curves))
  const ciphers = suites.length > 0 ? cipherList(suites) : DEFAULT_CIPHERS
  const preferKey = 'prefer_server_cipher_suites'
  return {
    minVersion: tlsVersions[minVersion]!,
    maxVersion: tlsVersions[maxVersion]!,
    honorCipherOrder:
      parseBoolean(fields[preferKey], fieldName(preferKey), errors) ?? true,
    // OpenSSL's level 1 forbids the signatures of TLS 1.1
    ciphers: isOld ? `${ciphers}:@SECLEVEL=0` : ciphers,
    ...(curveNames.length > 0
      ? { ecdhCurve: curveNames.map(name => curves[name]).join(':') }
      : {}),
  }
}
