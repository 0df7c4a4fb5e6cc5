import { resolve } from 'node:path'
import type { Origin, Problem, SyntaxPitfall } from '../../model/index.ts'
import type { NixDialect } from '../../nix/dialect.ts'
import {
  listConsequence,
  parseMachine,
  type Machine,
} from '../../nix/machines/machine-line.ts'
import {
  parseMachinesEntries,
  type MachinesEntry,
} from '../../nix/machines/machines-entries.ts'
import { quote, trim } from '../../nix/text.ts'
import { redactSecrets } from '../../text/redact.ts'
import { createIncludes } from './includes.ts'
import type { MachinesList } from './machines-list.ts'
import type { SettingAssignment } from './nix-conf-files.ts'
import { limits, type TextSource } from './text-source.ts'
import { readTomlMachines } from './toml-machines.ts'

/**
 * Expands a `builders` value as the build hook does (machines.cc getMachines); `system` is the local system. Returns all
 * valid lines, although Nix uses none of them while one line is invalid. Never rejects.
 */
export const readMachines = async (
  builders: SettingAssignment,
  source: TextSource,
  dialect: NixDialect,
  system: string,
): Promise<MachinesList> => {
  if (dialect.tomlMachines === 'none') return readLines(builders, source, dialect, system)
  const toml = await readTomlMachines(builders, source, dialect, system)
  if (toml.kind === 'toml') return toml.list
  const lines = await readLines(builders, source, dialect, system)
  if (!toml.problem || !isMeantAsToml(lines)) return lines
  return { machines: [], problems: [toml.problem], syntaxPitfalls: [] }
}

/** Parsed as lines, TOML without quotes gives machines with the system `=` (Lix machines.rs get_machines). */
const isMeantAsToml = ({ machines, problems }: MachinesList): boolean =>
  machines.some(({ systems }) => systems.includes('=')) ||
  problems.some(problem => problem.isFatal)

const readLines = async (
  builders: SettingAssignment,
  source: TextSource,
  dialect: NixDialect,
  system: string,
): Promise<MachinesList> => {
  const machines: (Machine & { readonly origin: Origin })[] = []
  const problems: Problem[] = []
  const syntaxPitfalls: SyntaxPitfall[] = []
  const includes = createIncludes(source, problems, listConsequence)

  const expand = async (
    text: string,
    originOf: (entry: MachinesEntry) => Origin,
    includeStack: readonly string[],
  ): Promise<void> => {
    for (const entry of parseMachinesEntries(text, dialect)) {
      const origin = originOf(entry)
      if (!includes.consumeBudget(origin, entry.line)) return
      if (entry.text.length > limits.lineLength)
        problems.push({ ...origin, message: lineTooLong })
      else if (entry.kind === 'include') await include(entry.text, origin, includeStack)
      else {
        // ssh ignores passwords in store URIs, so redacting them loses nothing
        const text = redactSecrets(entry.text)
        if (trim(text) === '') addPitfall('blank', text, origin)
        else if (entry.isInComment) addPitfall('comment', text, origin)
        machine(text, origin)
      }
    }
  }

  const addPitfall = (kind: SyntaxPitfall['kind'], text: string, origin: Origin) => {
    if (syntaxPitfalls.length < limits.problems)
      syntaxPitfalls.push({ ...origin, kind, text: trim(text).slice(0, 500) })
  }

  const machine = (text: string, origin: Origin): void => {
    const { machine, error } = parseMachine(text, dialect, system)
    if (machine) machines.push({ ...machine, origin })
    if (error)
      problems.push({
        ...origin,
        message: error.message,
        ...(error.isFatal ? { isFatal: true } : {}),
      })
  }

  const include = async (
    includedPath: string,
    origin: Origin,
    includeStack: readonly string[],
  ): Promise<void> => {
    if (includedPath === '') return
    // the build hook runs in /
    const path = resolve('/', includedPath)
    const code = await includes.open(path, origin, includeStack, (text, stack) =>
      expand(text, entry => ({ file: path, line: entry.line }), stack),
    )
    if (code === 'EACCES' || code === 'EPERM')
      problems.push({ ...origin, message: permissionDenied(path) })
    // Nix treats a missing file as empty
    else if (code !== null && code !== 'ENOENT')
      includes.addFatalProblem(origin, `${quote(path)} cannot be read (${code})`)
  }

  await expand(
    builders.value,
    // a value of several lines is not from a file, so its own line numbers are more useful
    ({ line }) => ({ file: builders.origin.file, line: builders.origin.line + line - 1 }),
    [],
  )
  return { machines, problems, syntaxPitfalls }
}

const lineTooLong = `the line is longer than ${limits.lineLength} characters: it is ignored here`

const permissionDenied = (path: string): string =>
  `${quote(path)} is not readable for this user, so its builders are unknown here; every build fails if Nix cannot read it either`
