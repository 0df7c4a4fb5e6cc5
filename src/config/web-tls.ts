import { dirname, resolve } from 'node:path'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { ClientAuth, WebTls } from '../model.ts'
import { readFileWithin } from './read-file.ts'
import { authoritiesFault, pairFault, validityWarning } from './web-certificates.ts'
import { protocolKeys, protocolOf } from './web-protocol.ts'
import type { YamlNode } from './yaml.ts'
import {
  choiceOf,
  fieldsOf,
  textOf,
  textsOf,
  type Faults,
  type Fields,
} from './yaml-fields.ts'

export interface TlsReading {
  /** The web configuration file: the paths in it are relative to it. */
  readonly path: string
  /** Unix seconds. */
  readonly now: number
  readonly faults: Faults
  readonly warnings: Faults
}

const where = 'tls_server_config'
/** With one of these TLS is meant. */
const enabling = [
  'cert',
  'key',
  'client_ca',
  'cert_file',
  'key_file',
  'client_auth_type',
  'client_ca_file',
] as const
const keys = [...enabling, 'client_allowed_sans', ...protocolKeys]

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
  reading: TlsReading,
): Promise<{ readonly tls: WebTls | null; readonly files: readonly string[] }> => {
  const { faults, warnings } = reading
  const before = faults.all.length
  const fields = fieldsOf(node, where, keys, faults)
  const isWanted = enabling.some(key => fields[key] !== null)
  if (!isWanted || node === null) {
    if (node && Object.values(fields).some(field => field !== null))
      warnings.add(node.line, `${where} has no certificate, so plain HTTP is served`)
    return { tls: null, files: [] }
  }
  const files: string[] = []
  const pem = (inline: string, file: string) =>
    readPem(fields, { ...reading, inline, file, files })
  const cert = await pem('cert', 'cert_file')
  const key = await pem('key', 'key_file')
  const ca = await pem('client_ca', 'client_ca_file')
  for (const [name, value] of [
    ['cert', cert],
    ['key', key],
  ] as const)
    if (value === undefined)
      faults.add(node.line, `${where} needs ${name}_file (or ${name}) to serve TLS`)

  const clientAuth =
    clientAuths[
      choiceOf(
        fields['client_auth_type'],
        `${where}.client_auth_type`,
        Object.keys(clientAuths),
        faults,
      ) ?? 'NoClientCert'
    ]!
  const sans = textsOf(
    fields['client_allowed_sans'],
    `${where}.client_allowed_sans`,
    faults,
  )
  checkClients(fields, { node, clientAuth, hasSans: sans !== null, ...reading })

  const context: SecureContextOptions = {
    ...protocolOf(fields, faults, warnings),
    ...(cert ? { cert: cert.text } : {}),
    ...(key ? { key: key.text } : {}),
    ...(ca ? { ca: ca.text } : {}),
  }
  if (ca) faultAt(ca.line, authoritiesFault(ca.text), faults)
  if (cert && key) faultAt(cert.line, pairFault(cert.text, key.text), faults)
  // What OpenSSL would say at the first connection, it shall say now
  if (faults.all.length === before && cert) {
    faultAt(cert.line, contextFault(context), faults)
    faultAt(cert.line, validityWarning(cert.text, reading.now), warnings)
  }
  const allowedSans = sans?.map(({ value }) => value) ?? null
  return { tls: { context, clientAuth, allowedSans }, files }
}

const faultAt = (line: number, text: string | null, faults: Faults): void => {
  if (text !== null) faults.add(line, text)
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
    faults,
    warnings,
  }: TlsReading & {
    readonly inline: string
    readonly file: string
    readonly files: string[]
  },
): Promise<Pem | null | undefined> => {
  const named = textOf(fields[file], `${where}.${file}`, faults)
  const written = textOf(fields[inline], `${where}.${inline}`, faults)
  const line = (fields[file] ?? fields[inline])?.line ?? 1
  if (named !== null && written !== null)
    warnings.add(line, `both ${inline} and ${file} are given: ${file} is used`)
  if (named === null) return written === null ? undefined : { text: written, line }
  const whole = resolve(dirname(path), named)
  files.push(whole)
  const read = await readFileWithin(whole)
  if ('text' in read) return { text: read.text, line }
  faults.add(line, `${file} ${whole} ${read.fault}`)
  return null
}

const checkClients = (
  fields: Fields,
  {
    node,
    clientAuth,
    hasSans,
    faults,
    warnings,
  }: TlsReading & {
    readonly node: YamlNode
    readonly clientAuth: ClientAuth
    readonly hasSans: boolean
  },
): void => {
  const ca = fields['client_ca_file'] ?? fields['client_ca']
  const line = (fields['client_auth_type'] ?? node).line
  if (ca && clientAuth === 'NoClientCert')
    faults.add(
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

const contextFault = (context: SecureContextOptions): string | null => {
  try {
    createSecureContext(context)
    return null
  } catch (error) {
    const { reason, message } = error as Error & { reason?: string }
    return `OpenSSL refuses this: ${(reason ?? message).slice(0, 200)}`
  }
}
