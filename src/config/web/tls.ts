import { dirname, resolve } from 'node:path'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ClientAuth, WebTls } from '../../model/index.ts'
import { readBoundedFile } from '../bounded-file.ts'
import { validateAuthorities, validateKeyPair, validityWarning } from './certificates.ts'
import type { Issues } from './issues.ts'
import { parseProtocol } from './protocol.ts'
import type { TlsSection } from './schema.ts'
import { clientAuths } from './tls-names.ts'

export interface TlsContext {
  /** The web configuration file; paths in it are relative to its directory. */
  readonly path: string
  /** Unix seconds. */
  readonly now: number
  readonly errors: Issues
  readonly warnings: Issues
}

const name = 'tls_server_config'
/** Any of these keys requests TLS. */
const enablingKeys = [
  'cert',
  'key',
  'client_ca',
  'cert_file',
  'key_file',
  'client_auth_type',
  'client_ca_file',
] as const

/** Reads the section `tls_server_config` and the files it names; `tls` is null if TLS is not requested. */
export const readTls = async (
  section: TlsSection,
  context: TlsContext,
): Promise<{ readonly tls: WebTls | null; readonly files: readonly string[] }> => {
  const { errors, warnings } = context
  const errorCount = errors.all.length
  if (!enablingKeys.some(key => section[key] != null)) {
    if (Object.values(section).some(value => value != null))
      warnings.add([name], `${name} has no certificate, so plain HTTP is served`)
    return { tls: null, files: [] }
  }
  const files: string[] = []
  const cert = await readPem('cert', section, context, files)
  const key = await readPem('key', section, context, files)
  const ca = await readPem('client_ca', section, context, files)
  for (const [option, value] of [
    ['cert', cert],
    ['key', key],
  ] as const)
    if (value === undefined)
      errors.add([name], `${name} needs ${option}_file (or ${option}) to serve TLS`)

  const clientAuth = clientAuths[section.client_auth_type || 'NoClientCert']!
  checkClients(section, clientAuth, context)
  const secure: SecureContextOptions = {
    ...parseProtocol(section, errors, warnings),
    ...(cert ? { cert: cert.text } : {}),
    ...(key ? { key: key.text } : {}),
    ...(ca ? { ca: ca.text } : {}),
  }
  if (ca) addIf(validateAuthorities(ca.text), ca.option, errors)
  if (cert && key) addIf(validateKeyPair(cert.text, key.text), cert.option, errors)
  // Reports now what OpenSSL would report at the first connection
  if (errors.all.length === errorCount && cert) {
    addIf(validateContext(secure), cert.option, errors)
    addIf(validityWarning(cert.text, context.now), cert.option, warnings)
  }
  const sans = section.client_allowed_sans
  const allowedSans = sans ? (sans.filter(san => !!san) as string[]) : null
  return { tls: { context: secure, clientAuth, allowedSans }, files }
}

const addIf = (text: string | null, option: string, issues: Issues): void => {
  if (text !== null) issues.add([name, option], text)
}

interface Pem {
  readonly text: string
  /** The option that has it. */
  readonly option: string
}

/** Returns the inline text or that of the file; null if the file cannot be read, undefined if neither is given. */
const readPem = async (
  inline: 'cert' | 'key' | 'client_ca',
  section: TlsSection,
  { path, errors, warnings }: TlsContext,
  files: string[],
): Promise<Pem | null | undefined> => {
  const file = `${inline}_file` as const
  const filePath = section[file] || null
  const inlineText = section[inline] || null
  if (filePath !== null && inlineText !== null)
    warnings.add([name, file], `both ${inline} and ${file} are set: ${file} is used`)
  if (filePath === null)
    return inlineText === null ? undefined : { text: inlineText, option: inline }
  const fullPath = resolve(dirname(path), filePath)
  files.push(fullPath)
  const read = await readBoundedFile(fullPath)
  if ('text' in read) return { text: read.text, option: file }
  errors.add([name, file], `${file} ${fullPath} ${read.error}`)
  return null
}

const checkClients = (
  section: TlsSection,
  clientAuth: ClientAuth,
  { errors, warnings }: TlsContext,
): void => {
  const ca =
    section.client_ca_file != null
      ? 'client_ca_file'
      : section.client_ca != null
        ? 'client_ca'
        : null
  const authPath = [name, 'client_auth_type']
  if (ca !== null && clientAuth === 'NoClientCert')
    errors.add(
      [name, ca],
      'client_ca is given, but client_auth_type is NoClientCert: write client_auth_type: RequireAndVerifyClientCert',
    )
  if (ca === null && /Verify/.test(clientAuth))
    warnings.add(
      authPath,
      `${clientAuth} without client_ca_file trusts every public CA: name the CA of your clients`,
    )
  if (section.client_allowed_sans != null && !/^Require/.test(clientAuth))
    warnings.add(
      [name, 'client_allowed_sans'],
      `client_allowed_sans with ${clientAuth} accepts clients without a certificate: write client_auth_type: RequireAndVerifyClientCert`,
    )
  if (clientAuth === 'RequireAnyClientCert')
    warnings.add(
      authPath,
      `${clientAuth} accepts any certificate, even a self-signed one`,
    )
}

const validateContext = (context: SecureContextOptions): string | null => {
  try {
    createSecureContext(context)
    return null
  } catch (error) {
    const { reason, message } = error as Error & { reason?: string }
    return `OpenSSL rejects this: ${(reason ?? message).slice(0, 200)}`
  }
}
