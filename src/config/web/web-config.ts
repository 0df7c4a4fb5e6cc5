import type { WebAccess } from '../../model/index.ts'
import { readBoundedFile } from '../bounded-file.ts'
import { createSchemaValidator, type SchemaError } from '../schema-validator.ts'
import { createIssues, type Issues } from './issues.ts'
import { parseBoolean, parseCount, parseDuration, webFormats } from './scalars.ts'
import { formatSchemaError } from './schema-messages.ts'
import { settableHeaders, webSchema, type WebFile } from './schema.ts'
import { readTls } from './tls.ts'
import { parseUsers } from './users.ts'
import { parseYaml, type YamlError } from './yaml.ts'

/** A web configuration file; each message begins with `file:line: `. */
export type WebConfig = {
  /** The file and the files it names; a change of any of them changes the configuration. */
  readonly files: readonly string[]
} & (
  | {
      readonly ok: true
      readonly access: WebAccess
      /** Settings that are insecure, or that other exporters treat differently. */
      readonly warnings: readonly string[]
    }
  | { readonly ok: false; readonly errors: readonly string[] }
)

const maxErrors = 50
const validate = createSchemaValidator(webSchema, webFormats)

/**
 * Loads the file that Prometheus' exporters take with `--web.config.file`, and the certificates it names (relative to
 * it). Returns all errors at once, never throws. Source: prometheus/exporter-toolkit, docs/web-configuration.md.
 */
export const loadWebConfig = async (
  path: string,
  now: number = Date.now() / 1000,
): Promise<WebConfig> => {
  const read = await readBoundedFile(path)
  if ('error' in read)
    return { ok: false, files: [path], errors: [`${path}: ${read.error}`] }
  const format = (issues: readonly YamlError[]) => {
    const sorted = issues.toSorted((a, b) => a.line - b.line)
    const messages = sorted.map(({ line, text }) => `${path}:${line}: ${text}`)
    return [...new Set(messages)].slice(0, maxErrors)
  }
  const parsed = parseYaml(read.text)
  if ('errors' in parsed)
    return {
      ok: false,
      files: [path],
      errors: format(
        parsed.errors.map(error => ({ ...error, text: `not YAML: ${error.text}` })),
      ),
    }
  const errors = createIssues(parsed.document)
  const warnings = createIssues(parsed.document)
  const file = validFile(parsed.document.value, errors)
  const { tls, files: tlsFiles } = await readTls(file.tls_server_config ?? {}, {
    path,
    now,
    errors,
    warnings,
  })
  const access: WebAccess = {
    tls,
    headers: parseHeaders(file.http_server_config, warnings),
    users: parseUsers(file.basic_auth_users, errors, warnings),
    rateLimit: parseRateLimit(file.rate_limit, warnings),
  }
  const files = [path, ...tlsFiles]
  return errors.all.length > 0
    ? { ok: false, files, errors: format(errors.all) }
    : { ok: true, files, access, warnings: format(warnings.all) }
}

/** Reports all schema errors and removes the invalid values, so that the rest of the file can be checked, too. */
const validFile = (value: unknown, errors: Issues): WebFile => {
  const schemaErrors = validate(value)
  for (const error of schemaErrors) {
    const text = formatSchemaError(error)
    const unknownKey = unknownKeyOf(error)
    if (unknownKey !== null) errors.addAtKey([...error.path, unknownKey], text ?? '')
    else if (text !== null) errors.add(error.path, text)
  }
  const root = { value }
  for (const error of schemaErrors) {
    const key = unknownKeyOf(error)
    remove(root, ['value', ...error.path, ...(key === null ? [] : [key])])
  }
  // Without its invalid values the file has the shape of the schema
  return root.value ?? {}
}

const unknownKeyOf = ({ keyword, params }: SchemaError): string | null =>
  keyword === 'additionalProperties' ? String(params['additionalProperty']) : null

const remove = (root: object, path: readonly string[]): void => {
  let parent: unknown = root
  for (const key of path.slice(0, -1))
    parent = (parent as Record<string, unknown> | null | undefined)?.[key]
  // A list keeps its indexes
  if (typeof parent === 'object' && parent !== null)
    (parent as Record<string, unknown>)[path.at(-1)!] = null
}

const parseHeaders = (
  section: WebFile['http_server_config'],
  warnings: Issues,
): Readonly<Record<string, string>> => {
  if (parseBoolean(section?.http2 ?? '') === true)
    warnings.add(
      ['http_server_config', 'http2'],
      'http2 is accepted but not offered: HTTP/1.1 is served',
    )
  return Object.fromEntries(
    Object.keys(settableHeaders).flatMap(name => {
      const value = section?.headers?.[name]
      return value == null ? [] : [[name.toLowerCase(), value] as const]
    }),
  )
}

const parseRateLimit = (
  section: WebFile['rate_limit'],
  warnings: Issues,
): WebAccess['rateLimit'] => {
  const intervalMs = parseDuration(section?.interval ?? '') ?? 0
  const burst = parseCount(section?.burst ?? '') ?? 0
  if (intervalMs === 0) return null
  if (burst === 0)
    warnings.add(
      ['rate_limit', 'burst'],
      'rate_limit.burst is 0, so every request is rejected: set it to 1 or more',
    )
  return { intervalMs, burst }
}
