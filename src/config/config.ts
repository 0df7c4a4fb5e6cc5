import { readFile } from 'node:fs/promises'
import { Ajv, type ErrorObject } from 'ajv'
import type { LogFormat, LogLevel } from '../log/log.ts'
import { closestMatch } from '../text/closest-match.ts'
import { validateAlerting, type AlertingConfig } from './alerting.ts'
import { configSchema } from './schema.ts'

/** What has a cron expression: probes, and the look at this machine itself (`client`). */
export type ScheduledProbe =
  'login' | 'system' | 'disk' | 'memory' | 'canary' | 'daemonCanary' | 'slots' | 'client'

export interface BuilderOverrides {
  readonly expect: 'awake' | 'asleep'
  readonly drained: boolean
  readonly canary: boolean
}

/** Our own configuration with every default filled in. */
export interface Config {
  readonly listen: readonly string[]
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
  readonly slots: { readonly stuckAfterHours: number }
  readonly keepConnections: boolean
  readonly alerting: AlertingConfig
  readonly builders: Readonly<Record<string, BuilderOverrides>>
}

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  /** One sentence for each error, with its JSON path. */
  | { readonly ok: false; readonly errors: readonly string[] }

/** What other rooms know of values, handed in. */
export interface ValidationContext {
  /** Finds fault with a cron expression: a sentence, or null. */
  readonly validateCron: (expression: string) => string | null
  readonly alertNames: readonly string[]
}

const maxErrors = 50
const maxBytes = 1024 * 1024

/** Checks text against the schema: all errors at once, never throws. Empty text is a good configuration. */
export const parseConfig = (text: string, context: ValidationContext): ConfigResult => {
  let value: unknown
  try {
    value = text.trim() === '' ? {} : JSON.parse(text)
  } catch (error) {
    return { ok: false, errors: [jsonError(text, error)] }
  }
  const ajv = new Ajv({ allErrors: true, useDefaults: true, strict: false })
  const validate = ajv.compile(configSchema)
  if (!validate(value))
    return { ok: false, errors: formatErrors(validate.errors ?? []).slice(0, maxErrors) }
  // The schema has just proven the shape and filled in the defaults
  const config = value as Config
  const errors = [
    ...Object.entries(config.schedule).flatMap(([name, expression]) => {
      const error = context.validateCron(expression)
      return error
        ? [
            `/schedule/${name}: ${JSON.stringify(expression)} is no cron expression: ${error}`,
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
      : [`/timeZone: ${JSON.stringify(config.timeZone)} is no time zone`]),
    ...validateAlerting(config.alerting, context.alertNames),
  ]
  return errors.length ? { ok: false, errors } : { ok: true, config }
}

/** Reads and checks a file. `missing` says whether a file that does not exist is as good as an empty one. */
export const loadConfig = async (
  path: string,
  optional: boolean,
  context: ValidationContext,
): Promise<ConfigResult> => {
  try {
    const text = await readFile(path, 'utf8')
    if (text.length > maxBytes)
      return { ok: false, errors: [`${path}: larger than 1 MiB`] }
    const result = parseConfig(text, context)
    return result.ok
      ? result
      : { ok: false, errors: result.errors.map(e => `${path}: ${e}`) }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (code === 'ENOENT' && optional) return parseConfig('', context)
    return { ok: false, errors: [`${path}: cannot be read (${code})`] }
  }
}

/** What sockaddr_un holds besides its last byte (unix(7)). */
const maxSocketPath = 107

/** `127.0.0.1:10922`, `[::1]:10922`, `:10922`, `unix:/run/x.sock`; null where it is none of these. */
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
  return previous.includes(address) ? ['is there twice'] : []
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

const formatErrors = (errors: readonly ErrorObject[]): string[] => [
  // The fault of a property's name is told once, by `propertyNames`
  ...new Set(errors.filter(error => error.propertyName === undefined).map(formatError)),
]

/** ajv's texts lack the offending key; ours say what, where and what was probably meant. */
const formatError = (error: ErrorObject): string => {
  const path = error.instancePath || '/'
  const params = error.params as Record<string, unknown>
  switch (error.keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty'])
      const suggestion = closestMatch(name, siblingOptions(error.schemaPath))
      const at = `${error.instancePath}/${name}`
      return `${at}: there is no such option${suggestion ? `, did you mean ${suggestion}?` : ''}`
    }
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String)
      return `${path}: must be one of ${allowed.join(', ')}`
    }
    case 'pattern': {
      const isPath = params['pattern'] === '^/'
      return isPath
        ? `${path}: must be an absolute path`
        : `${path}: must be of letters, digits and . _ - only`
    }
    case 'propertyNames':
      return `${path}: ${JSON.stringify(params['propertyName'])} is no name of a label, use letters, digits and _`
    case 'required':
      return `${path}: needs ${String(params['missingProperty'])}`
    case 'type':
      return `${path}: must be ${String(params['type'])}`
    default:
      return `${path}: ${error.message ?? 'is not valid'}`
  }
}

/** The option names that stand beside the unknown one, from the path into the schema. */
const siblingOptions = (schemaPath: string): string[] => {
  let node: unknown = configSchema
  for (const step of schemaPath.replace(/^#\//, '').split('/').slice(0, -1))
    node = (node as Record<string, unknown> | undefined)?.[step]
  const properties = (node as { properties?: object } | undefined)?.properties
  return Object.keys(properties ?? {})
}
