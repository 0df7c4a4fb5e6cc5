import type { Origin, Problem } from '../../model/index.ts'
import { quote } from '../../nix/text.ts'
import { limits, type TextSource } from './text-source.ts'

/** Reads files that include each other, within the limits; what is beyond them becomes a problem. */
export interface Includes {
  /** May what stands there, in this line of its text, still be read? False ends the text. */
  consumeBudget(origin: Origin, line: number): boolean
  /**
   * Has `use` read the file that `origin` includes; `above` are the files around it. The code of the error where the
   * file cannot be read, null where it was, or where it must not be.
   */
  open(
    path: string,
    origin: Origin,
    includeStack: readonly string[],
    onText: (text: string, includeStack: readonly string[]) => Promise<void>,
  ): Promise<string | null>
  /** Notes what makes Nix itself stop. */
  addFatalProblem(origin: Origin, what: string): void
}

/** `consequence` ends the sentence of what stops Nix. */
export const createIncludes = (
  source: TextSource,
  problems: Problem[],
  consequence: string,
): Includes => {
  let isExhausted = false
  const addFatalProblem = (origin: Origin, what: string) => {
    problems.push({ ...origin, message: `${what}: ${consequence}`, isFatal: true })
  }
  return {
    addFatalProblem,
    consumeBudget: (origin, line) => {
      if (line > limits.lines) problems.push({ ...origin, message: tooManyLines })
      if (line > limits.lines || isExhausted) return false
      isExhausted = !source.consumeBudget()
      if (isExhausted) problems.push({ ...origin, message: tooManyElements })
      return !isExhausted
    },
    open: async (path, origin, includeStack, onText) => {
      if (includeStack.includes(path)) {
        addFatalProblem(origin, `${quote(path)} includes itself`)
        return null
      }
      if (includeStack.length >= limits.depth) {
        problems.push({ ...origin, message: includedTooDeep(path) })
        return null
      }
      const read = await source.read(path)
      if ('code' in read) return read.code
      if (read.isTruncated) problems.push({ file: path, line: 1, message: fileTooLarge })
      await onText(read.text, [...includeStack, path])
      return null
    },
  }
}

export const fileTooLarge =
  'the file is larger than 1 MiB: what follows is not read by us'
export const tooManyElements = `more than ${limits.elements} settings, includes and machines: what follows is not read by us`
const tooManyLines = `more than ${limits.lines} lines: this one and what follows are not read by us`
const includedTooDeep = (path: string): string =>
  `${quote(path)} is included more than ${limits.depth} files deep: it is not read by us`
