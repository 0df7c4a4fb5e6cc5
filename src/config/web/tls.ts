import { dirname, resolve } from 'node:path'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ClientAuth, WebTls } from '../../model/index.ts'
import { readBoundedFile } from '../bounded-file.ts'
import { validateAuthorities, validateKeyPair, validityWarning } from './certificates.ts'
import { protocolKeys, parseProtocol } from './protocol.ts'
import type { YamlNode } from './yaml.ts'
import {
  parseChoice,
  parseFields,
  parseText,
  parseTexts,
  type ErrorList,
  type Fields,
} from './yaml-fields.ts'

export interface TlsContext {
  /** The web configuration file: the paths in it are relative to it. */
  readonly path: string
  /** Unix seconds. */
  readonly now: number
  readonly errors: ErrorList
  readonly warnings: ErrorList
}

const section = 'tls_server_config'
/** With one of these TLS is meant. */
const enablingKeys = [
  'cert',
  'key',
  'client_ca',
  'cert_file',
  'key_file',
  'client_auth_type',
  'client_ca_file',
] as const
const keys = [...enablingKeys, 'client_allowed_sans', ...protocolKeys]

/** `RequireClientCert` is an old name. */
const clientAuths: Readonly<Record<string, ClientAuth>> = {
  NoClientCert: 'NoClientCert',
  RequestClientCert: 'RequestClientCert',
  RequireAnyClientCert: 'RequireAnyClientCert',
  RequireClientCert: 'RequireAnyClientCert',
  VerifyClientCertIfGiven: 'VerifyClientCertIfGiven',
  RequireAndVerifyClientCert: 'RequireAndVerifyClientCert',
}

/** The section `tls_server_config` with the files that it names; null where TLS is not asked for. */
export const readTls = async (
  node: YamlNode | null,
  tlsContext: TlsContext,
): Promise<{ readonly tls: WebTls | null; readonly files: readonly string[] }> => {
  const { errors, warnings } = tlsContext
  const errorCount = errors.all.length
  const fields = parseFields(node, section, keys, errors)
  const isEnabled = enablingKeys.some(key => fields[key] !== null)
  if (!isEnabled || node === null) {
    if (node && Object.values(fields).some(field => field !== null))
      warnings.add(node.line, `${section} has no certificate, so plain HTTP is served`)
    return { tls: null, files: [] }
  }
  const files: string[] = []
  const pem = (inline: string, file: string) =>
    readPem(fields, { ...tlsContext, inline, file, files })
  const cert = await pem('cert', 'cert_file')
  const key = await pem('key', 'key_file')
  const ca = await pem('client_ca', 'client_ca_file')
  for (const [name, value] of [
    ['cert', cert],
    ['key', key],
  ] as const)
    if (value === undefined)
      errors.add(node.line, `${section} needs ${name}_file (or ${name}) to serve TLS`)

  const clientAuth =
    clientAuths[
      parseChoice(
        fields['client_auth_type'],
        `${section}.client_auth_type`,
        Object.keys(clientAuths),
        errors,
      ) ?? 'NoClientCert'
    ]!
  const sans = parseTexts(
    fields['client_allowed_sans'],
    `${section}.client_allowed_sans`,
    errors,
  )
  checkClients(fields, { node, clientAuth, hasSans: sans !== null, ...tlsContext })

  const context: SecureContextOptions = {
    ...parseProtocol(fields, errors, warnings),
    ...(cert ? { cert: cert.text } : {}),
    ...(key ? { key: key.text } : {}),
    ...(ca ? { ca: ca.text } : {}),
  }
  if (ca) addErrorAt(ca.line, validateAuthorities(ca.text), errors)
  if (cert && key) addErrorAt(cert.line, validateKeyPair(cert.text, key.text), errors)
  // What OpenSSL would say at the first connection, it shall say now
  if (errors.all.length === errorCount && cert) {
    addErrorAt(cert.line, validateContext(context), errors)
    addErrorAt(cert.line, validityWarning(cert.text, tlsContext.now), warnings)
  }
  const allowedSans = sans?.map(({ value }) => value) ?? null
  return { tls: { context, clientAuth, allowedSans }, files }
}

const addErrorAt = (line: number, text: string | null, errors: ErrorList): void => {
  if (text !== null) errors.add(line, text)
}

interface Pem {
  readonly text: string
  readonly line: number
}

/** The inline text or the file's; null where it is named and cannot be had, undefined where it is not named. */
const readPem = async (
  fields: Fields,
  {
    inline,
    file,
    files,
    path,
    errors,
    warnings,
  }: TlsContext & {
    readonly inline: string
    readonly file: string
    readonly files: string[]
  },
): Promise<Pem | null | undefined> => {
  const filePath = parseText(fields[file], `${section}.${file}`, errors)
  const inlineText = parseText(fields[inline], `${section}.${inline}`, errors)
  const line = (fields[file] ?? fields[inline])?.line ?? 1
  if (filePath !== null && inlineText !== null)
    warnings.add(line, `both ${inline} and ${file} are given: ${file} is used`)
  if (filePath === null)
    return inlineText === null ? undefined : { text: inlineText, line }
  const fullPath = resolve(dirname(path), filePath)
  files.push(fullPath)
  const read = await readBoundedFile(fullPath)
  if ('text' in read) return { text: read.text, line }
  errors.add(line, `${file} ${fullPath} ${read.error}`)
  return null
}

const checkClients = (
  fields: Fields,
  {
    node,
    clientAuth,
    hasSans,
    errors,
    warnings,
  }: TlsContext & {
    readonly node: YamlNode
    readonly clientAuth: ClientAuth
    readonly hasSans: boolean
  },
): void => {
  const ca = fields['client_ca_file'] ?? fields['client_ca']
  const line = (fields['client_auth_type'] ?? node).line
  if (ca && clientAuth === 'NoClientCert')
    errors.add(
      ca.line,
      'client_ca is given, but client_auth_type is NoClientCert: write client_auth_type: RequireAndVerifyClientCert',
    )
  if (!ca && /Verify/.test(clientAuth))
    warnings.add(
      line,
      `${clientAuth} without client_ca_file trusts every public CA: name the CA of your clients`,
    )
  if (hasSans && !/^Require/.test(clientAuth))
    warnings.add(
      fields['client_allowed_sans']!.line,
      `client_allowed_sans with ${clientAuth} lets in clients that send no certificate: write client_auth_type: RequireAndVerifyClientCert`,
    )
  if (clientAuth === 'RequireAnyClientCert')
    warnings.add(line, `${clientAuth} lets in any certificate, its own signature will do`)
}

const validateContext = (context: SecureContextOptions): string | null => {
  try {
    createSecureContext(context)
    return null
  } catch (error) {
    const { reason, message } = error as Error & { reason?: string }
    return `OpenSSL refuses this: ${(reason ?? message).slice(0, 200)}`
  }
}
