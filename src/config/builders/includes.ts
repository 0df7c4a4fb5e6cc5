import type { Origin, Problem } from '../../model/index.ts'
import { quote } from '../../nix/text.ts'
import { limits, type TextSource } from './text-source.ts'

/** Reads nested includes within the limits; exceeding a limit adds a problem. */
export interface Includes {
  /** Consumes one element at this line; false if the caller must stop reading this text. */
  consumeBudget(origin: Origin, line: number): boolean
  /**
   * Passes the text of an included file to `onText`. `includeStack` has the including files. Returns the error code if the
   * file cannot be read; null if it was read or must not be read.
   */
  open(
    path: string,
    origin: Origin,
    includeStack: readonly string[],
    onText: (text: string, includeStack: readonly string[]) => Promise<void>,
  ): Promise<string | null>
  /** Adds a problem that makes Nix itself fail. */
  addFatalProblem(origin: Origin, what: string): void
}

/** `consequence` ends the messages of fatal problems. */
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

export const fileTooLarge = 'the file is larger than 1 MiB: the rest is ignored here'
export const tooManyElements = `more than ${limits.elements} settings, includes and machines: the rest is ignored here`
const tooManyLines = `more than ${limits.lines} lines: this line and the rest are ignored here`
const includedTooDeep = (path: string): string =>
  `${quote(path)} is included more than ${limits.depth} levels deep: it is ignored here`
