import { readFileWithin } from './read-file.ts'
import type { WebAccess } from '../model.ts'
import { usersOf } from './web-users.ts'
import { readTls } from './web-tls.ts'
import { parseYaml, type YamlFault, type YamlNode } from './yaml.ts'
import {
  booleanOf,
  countOf,
  createFaults,
  durationOf,
  fieldsOf,
  textOf,
  type Faults,
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
  const read = await readFileWithin(path)
  if ('fault' in read)
    return { ok: false, files: [path], errors: [`${path}: ${read.fault}`] }
  const at = (faults: readonly YamlFault[]) => {
    const inOrder = faults.toSorted((a, b) => a.line - b.line)
    const sentences = inOrder.map(({ line, text }) => `${path}:${line}: ${text}`)
    return [...new Set(sentences)].slice(0, maxErrors)
  }
  const parsed = parseYaml(read.text)
  if ('faults' in parsed)
    return { ok: false, files: [path], errors: at(parsed.faults.map(notYaml)) }
  const faults = createFaults()
  const warnings = createFaults()
  const fields = fieldsOf(parsed.root, '', sections, faults)
  const tls = await readTls(fields['tls_server_config'] ?? null, {
    path,
    now,
    faults,
    warnings,
  })
  const access: WebAccess = {
    tls: tls.tls,
    headers: headersOf(fields['http_server_config'] ?? null, faults, warnings),
    users: usersOf(fields['basic_auth_users'] ?? null, faults, warnings),
    rateLimit: rateLimitOf(fields['rate_limit'] ?? null, faults, warnings),
  }
  const files = [path, ...tls.files]
  return faults.all.length > 0
    ? { ok: false, files, errors: at(faults.all) }
    : { ok: true, files, access, warnings: at(warnings.all) }
}

const notYaml = ({ line, text }: YamlFault): YamlFault => ({
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

const headersOf = (
  node: YamlNode | null,
  faults: Faults,
  warnings: Faults,
): Readonly<Record<string, string>> => {
  const where = 'http_server_config'
  const { http2, headers } = fieldsOf(node, where, ['http2', 'headers'], faults)
  if (booleanOf(http2, `${where}.http2`, faults) === true && http2)
    warnings.add(http2.line, 'http2 is accepted but not offered: HTTP/1.1 is served')
  const names = Object.keys(settableHeaders)
  const set = fieldsOf(headers ?? null, `${where}.headers`, names, faults)
  return Object.fromEntries(
    names.flatMap(name => {
      const header = set[name]
      if (!header) return []
      const value = textOf(header, `${where}.headers.${name}`, faults) ?? ''
      const allowed = settableHeaders[name]
      if (value !== '' && allowed && !allowed.includes(value))
        faults.add(header.line, `${name} must be ${allowed.join(' or ')}`)
      if (!/^[\t\x20-\x7e]*$/.test(value))
        faults.add(header.line, `${name} must be one line of printable ASCII`)
      return [[name.toLowerCase(), value] as const]
    }),
  )
}

const rateLimitOf = (
  node: YamlNode | null,
  faults: Faults,
  warnings: Faults,
): WebAccess['rateLimit'] => {
  const { interval, burst } = fieldsOf(node, 'rate_limit', ['interval', 'burst'], faults)
  const intervalMs = durationOf(interval, 'rate_limit.interval', faults) ?? 0
  const count = countOf(burst, 'rate_limit.burst', faults) ?? 0
  if (intervalMs === 0) return null
  if (count === 0 && node)
    warnings.add(
      (burst ?? node).line,
      'rate_limit.burst is 0, so every request is refused: write 1 or more',
    )
  return { intervalMs, burst: count }
}
