import type { Flavour } from './flavour.ts'
import { listConsequence, type Machine } from './machine-line.ts'
import { parseStoreUri } from './store-uri.ts'
import { quote } from './text.ts'
import { withoutSecrets } from './without-secrets.ts'

/** One machine of a TOML list; `machine` is null where Lix rejects the table. */
export interface MachineTable {
  /** The key under `machines`. */
  readonly name: string
  readonly machine: Machine | null
  readonly faults: readonly TableFault[]
}

export interface TableFault {
  /** What is wrong, ending in what Lix does about it. */
  readonly message: string
  readonly stopsBuilds: boolean
}

/** A whole TOML list. */
export interface MachineTables {
  /** Switched off ones are left out, but what is wrong with them counts: Lix checks them too. */
  readonly machines: readonly MachineTable[]
  /** What is wrong with the list as a whole; then there are no machines. */
  readonly faults: readonly TableFault[]
}

type Table = Readonly<Record<string, unknown>>

/** The keys of a machine, with the field of a machine line that says the same (Lix machines.cc, machines.rs). */
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
 * Reads Lix's structured machines list (2.95 and later; Lix machines.cc parseToml, from 2.96 on machines.rs) from a
 * parsed TOML document in which integers are bigint. Never throws.
 */
export const readMachineTables = (
  document: Table,
  flavour: Flavour,
  system: string,
): MachineTables => {
  const list = (message: string): MachineTables => ({
    machines: [],
    faults: [stop(message)],
  })
  if (Object.keys(document).length === 0 && flavour.tables === 'strict')
    return { machines: [], faults: [] }
  const { version = 1n, machines, ...rest } = document
  if (typeof version !== 'bigint') return list('`version` is not a whole number')
  if (version !== 1n)
    return list(
      `this is a machines list of version ${version}, and Lix knows only version 1`,
    )
  const strange = Object.keys(rest)[0]
  if (strange !== undefined && flavour.tables === 'strict')
    return list(`${quote(strange)} is neither \`version\` nor \`machines\``)
  if (!isTable(machines)) return list('`machines` is not a table of machines')
  return {
    machines: Object.entries(machines).flatMap(([name, table]) => {
      const { isEnabled, ...read } = readTable(name, table, flavour, system)
      return isEnabled || read.faults.length > 0
        ? [isEnabled ? read : { ...read, machine: null }]
        : []
    }),
    faults: [],
  }
}

const readTable = (
  name: string,
  table: unknown,
  flavour: Flavour,
  system: string,
): MachineTable & { readonly isEnabled: boolean } => {
  if (!isTable(table))
    return {
      name,
      machine: null,
      faults: [
        stop(`machine ${quote(name)} is not a table: write \`${name}.uri = ...\``),
      ],
      isEnabled: true,
    }
  const faults: TableFault[] = []
  const wrong = (key: string, what: string) =>
    faults.push(stop(`\`${key}\` of machine ${quote(name)} ${what}`))
  const text = (key: string): string => {
    const value = table[key] ?? ''
    if (typeof value === 'string') return value
    wrong(key, 'is not a text in quotes')
    return ''
  }
  const texts = (key: string): readonly string[] | null => {
    const value = table[key]
    if (value === undefined) return null
    if (Array.isArray(value) && value.every(item => typeof item === 'string'))
      return [...new Set(value)]
    wrong(key, 'is not a list of texts in quotes')
    return null
  }
  const jobs = (): number => {
    const value = table['jobs'] ?? 1n
    if (typeof value !== 'bigint' || value < 0n || value >= 2n ** 32n) {
      wrong('jobs', 'is not a whole number from 0 to 4294967295')
      return 1
    }
    return Number(value)
  }
  const speed = (): number => {
    const value = table['speed-factor'] ?? 1n
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number === 'number' && !(number < 0)) return number || 1
    wrong('speed-factor', 'is not a number of 0 or more')
    return 1
  }
  const flag = (key: string): boolean => {
    const value = table[key] ?? true
    if (typeof value !== 'boolean') wrong(key, 'is neither true nor false')
    return value !== false
  }
  // The key is `enable` in 2.95; later it is called `enabled`, and the old name holds
  const flags = flavour.tables === 'strict' ? ['enable'] : ['enabled', 'enable']
  const known = new Set<string>([...Object.values(tomlKeys), ...flags])
  for (const key of Object.keys(table))
    if (!known.has(key)) wrong(key, 'is a key that Lix does not know')
  const written = withoutSecrets(text('uri'))
  if (written === '' && typeof (table['uri'] ?? '') === 'string')
    wrong('uri', 'is missing or empty')
  const hostKey = text('ssh-public-host-key')
  const fields = {
    systems: texts('system-types') ?? [system],
    sshKey: text('ssh-key') || null,
    maxJobs: jobs(),
    speedFactor: speed(),
    supportedFeatures: texts('supported-features') ?? [],
    mandatoryFeatures: texts('mandatory-features') ?? [],
    // a machine line has it in base64, and the rest of the house knows that form
    publicHostKey: hostKey === '' ? null : Buffer.from(hostKey).toString('base64'),
  }
  const isEnabled = flags.map(flag).every(Boolean)
  if (faults.length > 0) return { name, machine: null, faults, isEnabled }
  const uri = parseStoreUri(written, flavour)
  const place = { storeUri: uri.text, user: uri.user, host: uri.host, port: uri.port }
  const machine = {
    ...place,
    scheme: uri.scheme,
    params: uri.params,
    ...fields,
    tomlName: name,
    line: lineOf(uri.text, fields),
  }
  const fault = uri.fault
    ? `${quote(uri.text)} ${uri.fault.message}`
    : uri.text === written
      ? null
      : `${quote(written)} says not how it is reached (a TOML list adds no ssh://)`
  return {
    name,
    machine,
    faults:
      fault === null ? [] : [{ message: `${fault}: ${unusable}`, stopsBuilds: false }],
    isEnabled,
  }
}

const unusable = 'Lix cannot open this store, so no build ever goes there'

const stop = (what: string): TableFault => ({
  message: `${what}: ${listConsequence}`,
  stopsBuilds: true,
})

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Date)

/** The same machine as a line, for `--builders`: every Lix still reads lines. */
const lineOf = (
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
