import { readBoundedFile } from '../bounded-file.ts'
import type { WebAccess } from '../../model/index.ts'
import { parseUsers } from './users.ts'
import { readTls } from './tls.ts'
import { parseYaml, type YamlError, type YamlNode } from './yaml.ts'
import {
  parseBoolean,
  parseCount,
  createErrorList,
  parseDuration,
  parseFields,
  parseText,
  type ErrorList,
} from './yaml-fields.ts'

/** What became of a web configuration file; each sentence begins with `file:line: `. */
export type WebConfig = {
  /** The file and what it names: who follows them notices every change. */
  readonly files: readonly string[]
} & (
  | {
      readonly ok: true
      readonly access: WebAccess
      /** What is accepted, but is not as it should be or not as it is with other exporters. */
      readonly warnings: readonly string[]
    }
  | { readonly ok: false; readonly errors: readonly string[] }
)

const maxErrors = 50
const sections = [
  'tls_server_config',
  'http_server_config',
  'basic_auth_users',
  'rate_limit',
] as const

/**
 * Reads the file that Prometheus' exporters take with `--web.config.file`, and the certificates that it names (relative
 * to it): all errors at once, never throws. Source: prometheus/exporter-toolkit, docs/web-configuration.md.
 */
export const loadWebConfig = async (
  path: string,
  now: number = Date.now() / 1000,
): Promise<WebConfig> => {
  const read = await readBoundedFile(path)
  if ('error' in read)
    return { ok: false, files: [path], errors: [`${path}: ${read.error}`] }
  const at = (errors: readonly YamlError[]) => {
    const inOrder = errors.toSorted((a, b) => a.line - b.line)
    const sentences = inOrder.map(({ line, text }) => `${path}:${line}: ${text}`)
    return [...new Set(sentences)].slice(0, maxErrors)
  }
  const parsed = parseYaml(read.text)
  if ('errors' in parsed)
    return { ok: false, files: [path], errors: at(parsed.errors.map(syntaxError)) }
  const errors = createErrorList()
  const warnings = createErrorList()
  const fields = parseFields(parsed.root, '', sections, errors)
  const tls = await readTls(fields['tls_server_config'] ?? null, {
    path,
    now,
    errors,
    warnings,
  })
  const access: WebAccess = {
    tls: tls.tls,
    headers: parseHeaders(fields['http_server_config'] ?? null, errors, warnings),
    users: parseUsers(fields['basic_auth_users'] ?? null, errors, warnings),
    rateLimit: parseRateLimit(fields['rate_limit'] ?? null, errors, warnings),
  }
  const files = [path, ...tls.files]
  return errors.all.length > 0
    ? { ok: false, files, errors: at(errors.all) }
    : { ok: true, files, access, warnings: at(warnings.all) }
}

const syntaxError = ({ line, text }: YamlError): YamlError => ({
  line,
  text: `not YAML: ${text}`,
})

/** The headers that the toolkit lets be set, and the values where it knows them all. */
const settableHeaders: Readonly<Record<string, readonly string[] | null>> = {
  'Content-Security-Policy': null,
  'Strict-Transport-Security': null,
  'X-Content-Type-Options': ['nosniff'],
  'X-Frame-Options': ['deny', 'sameorigin'],
  'X-XSS-Protection': null,
}

const parseHeaders = (
  node: YamlNode | null,
  errors: ErrorList,
  warnings: ErrorList,
): Readonly<Record<string, string>> => {
  const where = 'http_server_config'
  const { http2, headers } = parseFields(node, where, ['http2', 'headers'], errors)
  if (parseBoolean(http2, `${where}.http2`, errors) === true && http2)
    warnings.add(http2.line, 'http2 is accepted but not offered: HTTP/1.1 is served')
  const names = Object.keys(settableHeaders)
  const set = parseFields(headers ?? null, `${where}.headers`, names, errors)
  return Object.fromEntries(
    names.flatMap(name => {
      const header = set[name]
      if (!header) return []
      const value = parseText(header, `${where}.headers.${name}`, errors) ?? ''
      const allowed = settableHeaders[name]
      if (value !== '' && allowed && !allowed.includes(value))
        errors.add(header.line, `${name} must be ${allowed.join(' or ')}`)
      if (!/^[\t\x20-\x7e]*$/.test(value))
        errors.add(header.line, `${name} must be one line of printable ASCII`)
      return [[name.toLowerCase(), value] as const]
    }),
  )
}

const parseRateLimit = (
  node: YamlNode | null,
  errors: ErrorList,
  warnings: ErrorList,
): WebAccess['rateLimit'] => {
  const { interval, burst } = parseFields(
    node,
    'rate_limit',
    ['interval', 'burst'],
    errors,
  )
  const intervalMs = parseDuration(interval, 'rate_limit.interval', errors) ?? 0
  const count = parseCount(burst, 'rate_limit.burst', errors) ?? 0
  if (intervalMs === 0) return null
  if (count === 0 && node)
    warnings.add(
      (burst ?? node).line,
      'rate_limit.burst is 0, so every request is refused: write 1 or more',
    )
  return { intervalMs, burst: count }
}
