import type { Problem } from '../model.ts'
import type { Flavour } from '../nix/flavour.ts'
import { listConsequence } from '../nix/machine-line.ts'
import { readMachineTables } from '../nix/machine-table.ts'
import { quote } from '../nix/text.ts'
import type { Machines } from './machine-files.ts'
import { tooLarge, tooMuch } from './includes.ts'
import type { Assigned } from './nix-files.ts'
import type { TextSource } from './text-source.ts'
import { parseToml } from './toml.ts'

/** A `builders` value taken for TOML. */
export type TomlMachines =
  | { readonly kind: 'toml'; readonly list: Machines }
  /** It is no TOML; `problem` is what Lix says where it is no list of machine lines either. */
  | { readonly kind: 'legacy'; readonly problem: Problem | null }

/**
 * Reads a `builders` value as Lix 2.95 and later do first: all of it is TOML, or the one file that it names with `@` is
 * (Lix machines.cc getMachines, from 2.96 on machines.rs get_machines). Never rejects.
 */
export const readTomlMachines = async (
  builders: Assigned,
  source: TextSource,
  flavour: Flavour,
  system: string,
): Promise<TomlMachines> => {
  const { value, origin } = builders
  const path = value.startsWith('@') ? value.slice(1) : null
  const from = path ?? origin.file
  const read = path === null ? { text: value, isCut: false } : await source.read(path)
  if ('code' in read) {
    // 2.95 ignores what it cannot read; later a name ending in toml says what was meant
    const isMeant = flavour.tables === 'lenient' && path?.endsWith('toml')
    return isMeant
      ? told({
          ...origin,
          message: `${quote(path ?? '')} cannot be read (${read.code}): ${listConsequence}`,
          stopsBuilds: true,
        })
      : { kind: 'legacy', problem: null }
  }
  const first = path === null ? origin.line : 1
  const at = (line: number) => ({ file: from, line: first + line - 1 })
  if (read.text === '') return { kind: 'toml', list: empty }
  const document = parseToml(read.text)
  if ('fault' in document) {
    const problem = {
      ...at(document.line),
      message: `this is no TOML (${document.fault}): ${listConsequence}`,
      stopsBuilds: true,
    }
    if (flavour.tables === 'lenient') return { kind: 'legacy', problem }
    return /toml|"/i.test(value) ? told(problem) : { kind: 'legacy', problem: null }
  }
  const { machines, faults } = readMachineTables(document.table, flavour, system)
  const problems: Problem[] = faults.map(fault => ({ ...at(1), ...fault }))
  if (read.isCut) problems.push({ ...at(1), message: tooLarge })
  const headers = headersOf(read.text)
  const kept: Machines['machines'][number][] = []
  for (const { name, machine, faults } of machines) {
    const origin = at(headers.get(name) ?? 1)
    if (!source.take()) {
      problems.push({ ...origin, message: tooMuch })
      break
    }
    problems.push(...faults.map(fault => ({ ...origin, ...fault })))
    if (machine) kept.push({ ...machine, origin })
  }
  return { kind: 'toml', list: { machines: kept, problems, traps: [] } }
}

const empty: Machines = { machines: [], problems: [], traps: [] }

const told = (problem: Problem): TomlMachines => ({
  kind: 'toml',
  list: { ...empty, problems: [problem] },
})

/** Where each machine's table begins, by its name; parsers do not tell. Tables written in other ways are not there. */
const headersOf = (text: string): ReadonlyMap<string, number> => {
  const headers = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    const name = /^\s*\[\s*machines\s*\.\s*([^\]]+?)\s*\]/.exec(line)?.[1]
    if (name !== undefined) headers.set(name.replace(/^(["'])(.*)\1$/, '$2'), index + 1)
  }
  return headers
}
