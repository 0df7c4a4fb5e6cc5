import type { LogFormat, LogLevel } from '../log/options.ts'
import { closestMatch } from '../text/closest-match.ts'
import { validateAlerting, type AlertingConfig } from './alerting.ts'
import { readBoundedFile } from './bounded-file.ts'
import { validateQuarantine, type QuarantineConfig } from './quarantine.ts'
import { createSchemaValidator, type SchemaError } from './schema-validator.ts'
import { configSchema } from './schema.ts'

/** Jobs with a cron expression: probes, and the check of this machine (`client`). */
export type ScheduledProbe =
  | 'login'
  | 'system'
  | 'disk'
  | 'memory'
  | 'canary'
  | 'daemonCanary'
  | 'slots'
  | 'throughput'
  | 'substituters'
  | 'client'

export interface BuilderOverrides {
  readonly expect: 'awake' | 'asleep'
  readonly drained: boolean
  readonly canary: boolean
  readonly metered: boolean
  /** Absent for the common limit. */
  readonly minMiBPerSecond?: number
}

/** Configuration with all defaults filled in. */
export interface Config {
  readonly listen: readonly string[]
  /** Further host names of this machine, for requests over HTTP. */
  readonly allowedHosts: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly timeZone: string
  readonly schedule: Readonly<Record<ScheduledProbe, string>>
  readonly jitter: number
  readonly concurrency: { readonly logins: number; readonly canaries: number }
  readonly canary: {
    readonly enabled: boolean
    readonly mode: 'private' | 'daemon'
    readonly features: boolean
  }
  readonly quarantine: QuarantineConfig
  readonly slots: { readonly stuckAfterHours: number }
  readonly throughput: { readonly minMiBPerSecond: number }
  readonly keepConnections: boolean
  readonly alerting: AlertingConfig
  readonly builders: Readonly<Record<string, BuilderOverrides>>
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  /** One message for each error, with its JSON path. */
  | { readonly ok: false; readonly errors: readonly string[] }

/** Validation that belongs to other modules. */
export interface ValidationContext {
  /** Returns an error message for a cron expression; null if it is valid. */
  readonly validateCron: (expression: string) => string | null
  readonly alertNames: readonly string[]
}

const maxErrors = 50
const validate = createSchemaValidator(configSchema)

/** Parses and validates a configuration. Returns all errors at once, never throws. Empty text is valid. */
export const parseConfig = (text: string, context: ValidationContext): ConfigResult => {
  let value: unknown
  try {
    value = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    return { ok: false, errors: [jsonError(text, error)] }
  }
  const schemaErrors = validate(value)
  if (schemaErrors.length > 0)
    return { ok: false, errors: formatErrors(schemaErrors).slice(0, maxErrors) }
  // The schema guarantees the shape and has filled in the defaults
  const config = value as Config
  const errors = [
    ...Object.entries(config.schedule).flatMap(([name, expression]) => {
      const error = context.validateCron(expression)
      return error
        ? [
            `/schedule/${name}: ${JSON.stringify(expression)} is not a cron expression: ${error}`,
          ]
        : []
    }),
    ...config.listen.flatMap((address, i) =>
      validateListen(address, config.listen.slice(0, i)).map(
        error => `/listen/${i}: ${JSON.stringify(address)} ${error}`,
      ),
    ),
    ...(isTimeZone(config.timeZone)
      ? []
      : [`/timeZone: ${JSON.stringify(config.timeZone)} is not a time zone`]),
    ...validateAlerting(config.alerting, context.alertNames),
    ...validateQuarantine(config.quarantine),
  ]
  return errors.length ? { ok: false, errors } : { ok: true, config }
}

/** Loads a configuration file of at most 1 MiB. With `optional` a missing file is an empty configuration. Never rejects. */
export const loadConfig = async (
  path: string,
  optional: boolean,
  context: ValidationContext,
): Promise<ConfigResult> => {
  const file = await readBoundedFile(path)
  if ('error' in file)
    return file.isMissing && optional
      ? parseConfig('', context)
      : { ok: false, errors: [`${path}: ${file.error}`] }
  const result = parseConfig(file.text, context)
  return result.ok
    ? result
    : { ok: false, errors: result.errors.map(e => `${path}: ${e}`) }
}

/** Returns the configuration of an empty file. */
export const defaultConfig = (context: ValidationContext): Config => {
  const result = parseConfig('', context)
  if (!result.ok) throw new Error(`invalid defaults: ${result.errors.join('; ')}`)
  return result.config
}

/** Bytes of sockaddr_un's path without the terminating one (unix(7)). */
const maxSocketPath = 107

/** Parses `127.0.0.1:10922`, `[::1]:10922`, `:10922` or `unix:/run/x.sock`; null for other text. */
export const parseListen = (
  address: string,
):
  { readonly host: string; readonly port: number } | { readonly path: string } | null => {
  if (address.startsWith('unix:')) {
    const path = address.slice('unix:'.length)
    const fits = Buffer.byteLength(path) <= maxSocketPath && !path.includes('\0')
    return path.startsWith('/') && !path.endsWith('/') && fits ? { path } : null
  }
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:\s[\]]*)):(\d{1,5})$/.exec(address)
  const port = Number(match?.[3])
  if (!match || port > 65_535) return null
  return { host: match[1] ?? (match[2] || '::'), port }
}

const validateListen = (
  address: string,
  previous: readonly string[],
): readonly string[] => {
  if (!parseListen(address))
    return [
      address.startsWith('unix:')
        ? `is not unix:/path with a path of at most ${maxSocketPath} bytes`
        : 'is not host:port',
    ]
  return previous.includes(address) ? ['is listed twice'] : []
}

const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

const jsonError = (text: string, error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  const at = Number(/position (\d+)/.exec(message)?.[1] ?? NaN)
  const line = Number.isNaN(at) ? '' : `line ${text.slice(0, at).split('\n').length}: `
  return `${line}not JSON: ${message.slice(0, 200)}`
}

const formatErrors = (errors: readonly SchemaError[]): string[] => [
  // `propertyNames` reports an invalid name once
  ...new Set(errors.filter(error => !error.isPropertyName).map(formatError)),
]

const typeNames: Readonly<Record<string, string>> = {
  array: 'an array',
  boolean: 'true or false',
  integer: 'a whole number',
  number: 'a number',
  object: 'an object',
  string: 'a string',
}

/** Formats path, error and a suggestion; ajv's messages do not contain the invalid key. */
const formatError = ({
  path: keys,
  keyword,
  params,
  message,
  knownKeys,
}: SchemaError): string => {
  const pointer = keys.map(key => `/${key}`).join('')
  const path = pointer || '/'
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty'])
      const suggestion = closestMatch(name, knownKeys)
      const at = `${pointer}/${name}`
      return `${at}: unknown option${suggestion ? `, did you mean ${suggestion}?` : ''}`
    }
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String)
      return `${path}: must be one of ${allowed.join(', ')}`
    }
    case 'pattern': {
      const isPath = params['pattern'] === '^/'
      return isPath
        ? `${path}: must be an absolute path`
        : `${path}: must contain only letters, digits and . _ -`
    }
    case 'propertyNames':
      return `${path}: ${JSON.stringify(params['propertyName'])} is not a label name, use letters, digits and _`
    case 'minLength':
      return params['limit'] === 9
        ? `${path}: must be a cron expression with 5 or 6 fields, for example "*/30 * * * *"`
        : `${path}: must have at least ${String(params['limit'])} characters`
    case 'maxLength':
      return `${path}: must have at most ${String(params['limit'])} characters`
    case 'required':
      return `${path}: needs ${String(params['missingProperty'])}`
    case 'type':
      return `${path}: must be ${typeNames[String(params['type'])] ?? String(params['type'])}`
    default:
      return `${path}: ${message}`
  }
}
