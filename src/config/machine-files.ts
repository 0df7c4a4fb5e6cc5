import { resolve } from 'node:path'
import type { Origin, Problem, Trap } from '../model.ts'
import type { Flavour } from '../nix/flavour.ts'
import { listConsequence, parseMachine, type Machine } from '../nix/machine-line.ts'
import { piecesOf, type Piece } from '../nix/machines.ts'
import { quote, trim } from '../nix/text.ts'
import { withoutSecrets } from '../nix/without-secrets.ts'
import { createIncludes } from './includes.ts'
import type { Assigned } from './nix-files.ts'
import { limits, type TextSource } from './text-source.ts'
import { readTomlMachines } from './toml-machines.ts'

/** The machines of a `builders` value, its `@files` included. */
export interface Machines {
  readonly machines: readonly (Machine & { readonly origin: Origin })[]
  readonly problems: readonly Problem[]
  readonly traps: readonly Trap[]
}

/**
 * Expands a `builders` value as the hook does (machines.cc getMachines); `system` is the local one. Well-formed lines
 * are all there, though Nix uses none of them while one line is malformed. Never rejects.
 */
export const readMachines = async (
  builders: Assigned,
  source: TextSource,
  flavour: Flavour,
  system: string,
): Promise<Machines> => {
  if (flavour.tables === 'none') return readLines(builders, source, flavour, system)
  const toml = await readTomlMachines(builders, source, flavour, system)
  if (toml.kind === 'toml') return toml.list
  const lines = await readLines(builders, source, flavour, system)
  if (!toml.problem || !isMeantAsToml(lines)) return lines
  return { machines: [], problems: [toml.problem], traps: [] }
}

/** Read as lines, TOML that misses its quotes has machines with the system `=` (Lix machines.rs get_machines). */
const isMeantAsToml = ({ machines, problems }: Machines): boolean =>
  machines.some(({ systems }) => systems.includes('=')) ||
  problems.some(problem => problem.stopsBuilds)

const readLines = async (
  builders: Assigned,
  source: TextSource,
  flavour: Flavour,
  system: string,
): Promise<Machines> => {
  const machines: (Machine & { readonly origin: Origin })[] = []
  const problems: Problem[] = []
  const traps: Trap[] = []
  const includes = createIncludes(source, problems, listConsequence)

  const expand = async (
    text: string,
    originOf: (piece: Piece) => Origin,
    above: readonly string[],
  ): Promise<void> => {
    for (const piece of piecesOf(text, flavour)) {
      const origin = originOf(piece)
      if (!includes.take(origin, piece.line)) return
      if (piece.text.length > limits.lineLength)
        problems.push({ ...origin, message: tooLong })
      else if (piece.kind === 'include') await include(piece.text, origin, above)
      else {
        // ssh takes no password from a store URI, so that none is lost
        const text = withoutSecrets(piece.text)
        if (trim(text) === '') trap('blank', text, origin)
        else if (piece.isInComment) trap('comment', text, origin)
        machine(text, origin)
      }
    }
  }

  const trap = (kind: Trap['kind'], text: string, origin: Origin) => {
    if (traps.length < limits.problems)
      traps.push({ ...origin, kind, text: trim(text).slice(0, 500) })
  }

  const machine = (text: string, origin: Origin): void => {
    const { machine, fault } = parseMachine(text, flavour, system)
    if (machine) machines.push({ ...machine, origin })
    if (fault)
      problems.push({
        ...origin,
        message: fault.message,
        ...(fault.stopsBuilds ? { stopsBuilds: true } : {}),
      })
  }

  const include = async (
    written: string,
    origin: Origin,
    above: readonly string[],
  ): Promise<void> => {
    if (written === '') return
    // the hook has changed its directory to /
    const path = resolve('/', written)
    const code = await includes.open(path, origin, above, (text, now) =>
      expand(text, piece => ({ file: path, line: piece.line }), now),
    )
    if (code === 'EACCES' || code === 'EPERM')
      problems.push({ ...origin, message: notForUs(path) })
    // a file that does not exist is an empty one for Nix
    else if (code !== null && code !== 'ENOENT')
      includes.stop(origin, `${quote(path)} cannot be read (${code})`)
  }

  await expand(
    builders.value,
    // a value of several lines comes from no file, so that its own lines are the better address
    ({ line }) => ({ file: builders.origin.file, line: builders.origin.line + line - 1 }),
    [],
  )
  return { machines, problems, traps }
}

const tooLong = `the line is longer than ${limits.lineLength} characters: it is not read by us`

const notForUs = (path: string): string =>
  `${quote(path)} may not be read by this user: its builders are unknown to us, and every build fails if Nix may not read it either`
