import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Problem } from '../../model/index.ts'
import { redactSecrets } from '../../text/redact.ts'

/**
 * Reads a text file, at most `maxBytes` + 1 bytes of it, so that the caller sees that there is more. Rejects with an
 * error that has a `code`, as node:fs does.
 */
export type ReadFile = (path: string, maxBytes: number) => Promise<string>

/** How much of what others wrote is read. Nix itself has no such limits. */
export const limits = {
  fileBytes: 1_048_576,
  /** Of one file. */
  lines: 10_000,
  /** Settings, includes and machines of all files together. */
  elements: 20_000,
  lineLength: 65_536,
  depth: 20,
  problems: 100,
} as const

/** A text, or the code of the error that prevented reading it. */
export type ReadText =
  { readonly text: string; readonly isTruncated: boolean } | { readonly code: string }

/** Reads within the limits and remembers what was asked for. */
export interface TextSource {
  /** Never rejects. */
  read(path: string): Promise<ReadText>
  /** Every path that was asked for, existing or not. */
  readonly files: ReadonlySet<string>
  /** Takes one of the elements that may be read in all; false when there are none left. */
  consumeBudget(): boolean
}

/** A source over one reading of the configuration. */
export const createTextSource = (readFile: ReadFile): TextSource => {
  const files = new Set<string>()
  let remaining: number = limits.elements
  return {
    files,
    consumeBudget: () => remaining-- > 0,
    read: async path => {
      files.add(path)
      try {
        const text = await readFile(path, limits.fileBytes)
        const isTruncated = Buffer.byteLength(text) > limits.fileBytes
        return isTruncated
          ? { text: completeLines(text), isTruncated }
          : { text, isTruncated }
      } catch (error) {
        return { code: errorCode(error) }
      }
    },
  }
}

/** The real file system. A pipe without a writer is empty instead of blocking us. */
export const readTextFile: ReadFile = async (path, maxBytes) => {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY
  const file = await open(path, flags)
  try {
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.toString('utf8', 0, length)
  } finally {
    await file.close()
  }
}

/** Without secrets that Nix or we quote from a line, each problem once and at most `limits.problems`, then one that tells how many more there are. */
export const limitProblems = (all: readonly Problem[]): readonly Problem[] => {
  const redacted = all.map(p => ({ ...p, message: redactSecrets(p.message) }))
  const problems = [
    ...new Map(redacted.map(p => [`${p.file}\n${p.line}\n${p.message}`, p])).values(),
  ]
  const first = problems.slice(0, limits.problems)
  const next = problems[limits.problems]
  if (!next) return first
  const rest = problems.length - first.length
  const isFatal = problems.slice(limits.problems).some(problem => problem.isFatal)
  return [
    ...first,
    {
      file: next.file,
      line: next.line,
      message: `${rest} more problems from here on are not listed`,
      ...(isFatal ? { isFatal } : {}),
    },
  ]
}

const completeLines = (text: string): string => {
  const complete = text.slice(0, limits.fileBytes)
  return complete.slice(0, complete.lastIndexOf('\n') + 1)
}

const errorCode = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : 'EIO'
