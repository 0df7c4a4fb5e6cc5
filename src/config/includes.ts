import type { Origin, Problem } from '../model.ts'
import { quote } from '../nix/text.ts'
import { limits, type TextSource } from './text-source.ts'

/** Reads files that include each other, within the limits; what is beyond them becomes a problem. */
export interface Includes {
  /** May what stands there, in this line of its text, still be read? False ends the text. */
  take(origin: Origin, line: number): boolean
  /**
   * Has `use` read the file that `origin` includes; `above` are the files around it. The code of the error where the
   * file cannot be read, null where it was, or where it must not be.
   */
  open(
    path: string,
    origin: Origin,
    above: readonly string[],
    use: (text: string, above: readonly string[]) => Promise<void>,
  ): Promise<string | null>
  /** Notes what makes Nix itself stop. */
  stop(origin: Origin, what: string): void
}

/** `consequence` ends the sentence of what stops Nix. */
export const createIncludes = (
  source: TextSource,
  problems: Problem[],
  consequence: string,
): Includes => {
  let isFull = false
  const stop = (origin: Origin, what: string) => {
    problems.push({ ...origin, message: `${what}: ${consequence}`, stopsBuilds: true })
  }
  return {
    stop,
    take: (origin, line) => {
      if (line > limits.lines) problems.push({ ...origin, message: tooManyLines })
      if (line > limits.lines || isFull) return false
      isFull = !source.take()
      if (isFull) problems.push({ ...origin, message: tooMuch })
      return !isFull
    },
    open: async (path, origin, above, use) => {
      if (above.includes(path)) {
        stop(origin, `${quote(path)} includes itself`)
        return null
      }
      if (above.length >= limits.depth) {
        problems.push({ ...origin, message: tooDeep(path) })
        return null
      }
      const read = await source.read(path)
      if ('code' in read) return read.code
      if (read.isCut) problems.push({ file: path, line: 1, message: tooLarge })
      await use(read.text, [...above, path])
      return null
    },
  }
}

export const tooLarge = 'the file is larger than 1 MiB: what follows is not read by us'
export const tooMuch = `more than ${limits.elements} settings, includes and machines: what follows is not read by us`
const tooManyLines = `more than ${limits.lines} lines: this one and what follows are not read by us`
const tooDeep = (path: string): string =>
  `${quote(path)} is included more than ${limits.depth} files deep: it is not read by us`
