import type { Builder } from '../../model/index.ts'
import { tomlKeys } from './machine-table.ts'
import { words } from '../text.ts'

/** New values for fields of a machine, by field number, as written in a machine line; `-` means the default. */
export type MachineFields = Partial<Record<keyof typeof tomlKeys, string>>

/** Formats a machine with changed fields in its present syntax: the whole line, or the changed keys of its TOML table. */
export const editMachine = (
  { line, tomlName }: Pick<Builder, 'line' | 'tomlName'>,
  fields: MachineFields,
): string =>
  tomlName === undefined ? editLine(line, fields) : formatTomlKeys(tomlName, fields)

/** Returns the machine line for our own nix-build, with the path of our copy of the key. */
export const lineWithCredential = ({
  line,
  credential,
}: Pick<Builder, 'line' | 'credential'>): string =>
  credential === undefined ? line : editLine(line, { 3: credential })

const definedFields = (
  fields: MachineFields,
): readonly (readonly [keyof typeof tomlKeys, string])[] =>
  ([1, 2, 3, 4, 5, 6, 7, 8] as const).flatMap(field => {
    const value = fields[field]
    return value === undefined ? [] : [[field, value] as const]
  })

const editLine = (line: string, fields: MachineFields): string => {
  const columns = [...words(line)]
  for (const [field, value] of definedFields(fields)) {
    while (columns.length < field) columns.push('-')
    columns[field - 1] = value
  }
  return columns.join(' ')
}

const formatTomlKeys = (name: string, fields: MachineFields): string => {
  const key = /^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name)
  const keys = definedFields(fields).map(([field, value]) => {
    const text = value === '-' ? '' : value
    return `${tomlKeys[field]} = ${tomlValue(field, text)}`
  })
  return [`[machines.${key}]`, ...keys].join('\n')
}

const tomlValue = (field: keyof typeof tomlKeys, text: string): string => {
  if (field === 4 || field === 5) return text || '1'
  if (field === 2 || field === 6 || field === 7)
    return `[${text.split(',').filter(Boolean).map(tomlString).join(', ')}]`
  // the TOML table holds the key line itself, a machine line its base64
  return tomlString(field === 8 ? Buffer.from(text, 'base64').toString().trim() : text)
}

/** Formats a TOML basic string; TOML accepts all of JSON's escapes. */
const tomlString = (text: string): string => JSON.stringify(text)
