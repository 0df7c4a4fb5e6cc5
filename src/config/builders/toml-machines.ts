import type { Problem } from '../../model/index.ts'
import type { NixDialect } from '../../nix/dialect.ts'
import { describeErrorCode } from '../../text/error-code.ts'
import { listConsequence } from '../../nix/machines/machine-line.ts'
import { readMachineTables } from '../../nix/machines/machine-table.ts'
import { quote } from '../../nix/text.ts'
import { emptyMachinesList, type MachinesList } from './machines-list.ts'
import { fileTooLarge, tooManyElements } from './includes.ts'
import type { SettingAssignment } from './nix-conf-files.ts'
import type { TextSource } from './text-source.ts'
import { parseToml } from './toml.ts'

/** A `builders` value parsed as TOML. */
export type TomlMachines =
  | { readonly kind: 'toml'; readonly list: MachinesList }
  /** The value is not TOML; `problem` is Lix's error if it is not a list of machine lines either. */
  | { readonly kind: 'legacy'; readonly problem: Problem | null }

/**
 * Reads a `builders` value as Lix 2.95 and later first try: the whole value is TOML, or the one file it names with `@` is
 * (Lix machines.cc getMachines, since 2.96 machines.rs get_machines). Never rejects.
 */
export const readTomlMachines = async (
  builders: SettingAssignment,
  source: TextSource,
  dialect: NixDialect,
  system: string,
): Promise<TomlMachines> => {
  const { value, origin } = builders
  const path = value.startsWith('@') ? value.slice(1) : null
  const from = path ?? origin.file
  const read =
    path === null ? { text: value, isTruncated: false } : await source.read(path)
  if ('code' in read) {
    // 2.95 ignores unreadable files; later versions require files whose name ends with toml
    const isMeant = dialect.tomlMachines === 'lenient' && path?.endsWith('toml')
    return isMeant
      ? invalidList({
          ...origin,
          message: `${quote(path ?? '')} cannot be read (${describeErrorCode(read.code)}): ${listConsequence}`,
          isFatal: true,
        })
      : { kind: 'legacy', problem: null }
  }
  const first = path === null ? origin.line : 1
  const at = (line: number) => ({ file: from, line: first + line - 1 })
  if (read.text === '') return { kind: 'toml', list: emptyMachinesList }
  const document = parseToml(read.text)
  if ('error' in document) {
    const problem = {
      ...at(document.line),
      message: `this is not TOML (${document.error}): ${listConsequence}`,
      isFatal: true,
    }
    if (dialect.tomlMachines === 'lenient') return { kind: 'legacy', problem }
    return /toml|"/i.test(value)
      ? invalidList(problem)
      : { kind: 'legacy', problem: null }
  }
  const { machines, errors } = readMachineTables(document.table, dialect, system)
  const problems: Problem[] = errors.map(error => ({ ...at(1), ...error }))
  if (read.isTruncated) problems.push({ ...at(1), message: fileTooLarge })
  const headers = findTableHeaders(read.text)
  const accepted: MachinesList['machines'][number][] = []
  for (const { name, machine, errors } of machines) {
    const origin = at(headers.get(name) ?? 1)
    if (!source.consumeBudget()) {
      problems.push({ ...origin, message: tooManyElements })
      break
    }
    problems.push(...errors.map(error => ({ ...origin, ...error })))
    if (machine) accepted.push({ ...machine, origin })
  }
  return { kind: 'toml', list: { machines: accepted, problems, syntaxPitfalls: [] } }
}

const invalidList = (problem: Problem): TomlMachines => ({
  kind: 'toml',
  list: { ...emptyMachinesList, problems: [problem] },
})

/** Finds the line of each `[machines.NAME]` header, because the parser reports none. Omits other notations. */
const findTableHeaders = (text: string): ReadonlyMap<string, number> => {
  const headers = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    const name = /^\s*\[\s*machines\s*\.([^\]]+)\]/.exec(line)?.[1]?.trim()
    if (name) headers.set(name.replace(/^(["'])(.*)\1$/, '$2'), index + 1)
  }
  return headers
}
