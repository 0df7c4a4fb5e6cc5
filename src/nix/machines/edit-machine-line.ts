import type { Builder } from '../../model/index.ts'
import { tomlKeys } from './machine-table.ts'
import { words } from '../text.ts'

/** New values for fields of a machine, in the form that a machine line has them; `-` is the default. */
export type MachineFields = Partial<Record<keyof typeof tomlKeys, string>>

/**
 * What to write for a machine with these fields written anew, in the grammar in which it is written now: the whole
 * line, or the keys of its table in a TOML list.
 */
export const editMachine = (
  { line, tomlName }: Pick<Builder, 'line' | 'tomlName'>,
  fields: MachineFields,
): string =>
  tomlName === undefined ? editLine(line, fields) : formatTomlKeys(tomlName, fields)

/** The line for a nix-build of our own, which reads our copy of the key. */
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
  // the table has the key line itself where a machine line has its base64
  return tomlString(field === 8 ? Buffer.from(text, 'base64').toString().trim() : text)
}

/** A basic string of TOML; JSON's escapes are among its own. */
const tomlString = (text: string): string => JSON.stringify(text)
