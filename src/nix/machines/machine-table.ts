import type { NixDialect } from '../dialect.ts'
import { listConsequence, type Machine } from './machine-line.ts'
import { parseStoreUri } from './store-uri.ts'
import { quote } from '../text.ts'
import { redactSecrets } from '../../text/redact.ts'

/** One machine of a TOML list; `machine` is null if Lix rejects the table. */
export interface MachineTable {
  /** The key under `machines`. */
  readonly name: string
  readonly machine: Machine | null
  readonly errors: readonly MachineTableError[]
}

export interface MachineTableError {
  /** The error and its consequence in Lix. */
  readonly message: string
  readonly isFatal: boolean
}

export interface MachineTables {
  /** Without disabled machines, except those with errors: Lix validates disabled machines, too. */
  readonly machines: readonly MachineTable[]
  /** Errors of the list as a whole; then `machines` is empty. */
  readonly errors: readonly MachineTableError[]
}

type Table = Readonly<Record<string, unknown>>

/** Keys of a machine by the number of the corresponding machine line field (Lix machines.cc, machines.rs). */
export const tomlKeys = {
  1: 'uri',
  2: 'system-types',
  3: 'ssh-key',
  4: 'jobs',
  5: 'speed-factor',
  6: 'supported-features',
  7: 'mandatory-features',
  8: 'ssh-public-host-key',
} as const

/**
 * Reads Lix's structured machines list (2.95 and later; Lix machines.cc parseToml, since 2.96 machines.rs) from a parsed
 * TOML document whose integers are bigint. Never throws.
 */
export const readMachineTables = (
  document: Table,
  dialect: NixDialect,
  system: string,
): MachineTables => {
  const listError = (message: string): MachineTables => ({
    machines: [],
    errors: [fatalError(message)],
  })
  if (Object.keys(document).length === 0 && dialect.tomlMachines === 'strict')
    return { machines: [], errors: [] }
  const { version = 1n, machines, ...rest } = document
  if (typeof version !== 'bigint') return listError('`version` is not a whole number')
  if (version !== 1n)
    return listError(
      `the machines list has version ${version}, but Lix supports only version 1`,
    )
  const unknownKey = Object.keys(rest)[0]
  if (unknownKey !== undefined && dialect.tomlMachines === 'strict')
    return listError(`${quote(unknownKey)} is neither \`version\` nor \`machines\``)
  if (!isTable(machines)) return listError('`machines` is not a table of machines')
  return {
    machines: Object.entries(machines).flatMap(([name, table]) => {
      const { isEnabled, ...read } = readTable(name, table, dialect, system)
      return isEnabled || read.errors.length > 0
        ? [isEnabled ? read : { ...read, machine: null }]
        : []
    }),
    errors: [],
  }
}

const readTable = (
  name: string,
  table: unknown,
  dialect: NixDialect,
  system: string,
): MachineTable & { readonly isEnabled: boolean } => {
  if (!isTable(table))
    return {
      name,
      machine: null,
      errors: [
        fatalError(`machine ${quote(name)} is not a table: write \`${name}.uri = ...\``),
      ],
      isEnabled: true,
    }
  const errors: MachineTableError[] = []
  const addError = (key: string, what: string) =>
    errors.push(fatalError(`\`${key}\` of machine ${quote(name)} ${what}`))
  const text = (key: string): string => {
    const value = table[key] ?? ''
    if (typeof value === 'string') return value
    addError(key, 'is not a string')
    return ''
  }
  const texts = (key: string): readonly string[] | null => {
    const value = table[key]
    if (value === undefined) return null
    if (Array.isArray(value) && value.every(item => typeof item === 'string'))
      return [...new Set(value)]
    addError(key, 'is not a list of strings')
    return null
  }
  const jobs = (): number => {
    const value = table['jobs'] ?? 1n
    if (typeof value !== 'bigint' || value < 0n || value >= 2n ** 32n) {
      addError('jobs', 'is not a whole number from 0 to 4294967295')
      return 1
    }
    return Number(value)
  }
  const speed = (): number => {
    const value = table['speed-factor'] ?? 1n
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number === 'number' && !(number < 0)) return number || 1
    addError('speed-factor', 'is not a number of 0 or more')
    return 1
  }
  const flag = (key: string): boolean => {
    const value = table[key] ?? true
    if (typeof value !== 'boolean') addError(key, 'is neither true nor false')
    return value !== false
  }
  // The key is `enable` in 2.95, later `enabled`; the old name still works
  const flags = dialect.tomlMachines === 'strict' ? ['enable'] : ['enabled', 'enable']
  const known = new Set<string>([...Object.values(tomlKeys), ...flags])
  for (const key of Object.keys(table))
    if (!known.has(key)) addError(key, 'is an unknown key')
  const configured = redactSecrets(text('uri'))
  if (configured === '' && typeof (table['uri'] ?? '') === 'string')
    addError('uri', 'is missing or empty')
  const hostKey = text('ssh-public-host-key')
  const fields = {
    systems: texts('system-types') ?? [system],
    sshKey: text('ssh-key') || null,
    maxJobs: jobs(),
    speedFactor: speed(),
    supportedFeatures: texts('supported-features') ?? [],
    mandatoryFeatures: texts('mandatory-features') ?? [],
    // Builder has the base64 form of machine lines
    publicHostKey: hostKey === '' ? null : Buffer.from(hostKey).toString('base64'),
  }
  const isEnabled = flags.map(flag).every(Boolean)
  if (errors.length > 0) return { name, machine: null, errors, isEnabled }
  const uri = parseStoreUri(configured, dialect)
  const location = { storeUri: uri.text, user: uri.user, host: uri.host, port: uri.port }
  const machine = {
    ...location,
    scheme: uri.scheme,
    params: uri.params,
    ...fields,
    tomlName: name,
    line: formatMachineLine(uri.text, fields),
  }
  const error = uri.error
    ? `${quote(uri.text)} ${uri.error.message}`
    : uri.text === configured
      ? null
      : `${quote(configured)} has no scheme (a TOML list does not add ssh://)`
  return {
    name,
    machine,
    errors: error === null ? [] : [{ message: `${error}: ${unusable}`, isFatal: false }],
    isEnabled,
  }
}

const unusable = 'Lix cannot open this store, so it sends no builds there'

const fatalError = (what: string): MachineTableError => ({
  message: `${what}: ${listConsequence}`,
  isFatal: true,
})

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Date)

/** Formats the machine as a line for `--builders`; every Lix version still accepts lines. */
const formatMachineLine = (
  uri: string,
  machine: Pick<
    Machine,
    | 'systems'
    | 'sshKey'
    | 'maxJobs'
    | 'speedFactor'
    | 'supportedFeatures'
    | 'mandatoryFeatures'
    | 'publicHostKey'
  >,
): string =>
  [
    uri,
    machine.systems.join(',') || '-',
    machine.sshKey ?? '-',
    machine.maxJobs,
    machine.speedFactor,
    machine.supportedFeatures.join(',') || '-',
    machine.mandatoryFeatures.join(',') || '-',
    machine.publicHostKey ?? '-',
  ].join(' ')
