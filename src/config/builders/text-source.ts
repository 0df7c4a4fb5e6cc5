import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Problem } from '../../model/index.ts'
import { redactSecrets } from '../../text/redact.ts'
import { readUpTo } from '../bounded-file.ts'

/**
 * Reads at most `maxBytes` + 1 bytes of a text file; the additional byte shows that the file is longer. Rejects with an
 * error that has a `code`, as node:fs does.
 */
export type ReadFile = (path: string, maxBytes: number) => Promise<string>

/** Limits for untrusted files. Nix itself has none. */
export const limits = {
  fileBytes: 1_048_576,
  /** Of one file. */
  lines: 10_000,
  /** Settings, includes and machines of all files. */
  elements: 20_000,
  lineLength: 65_536,
  depth: 20,
  problems: 100,
} as const

/** A text, or the error code of the failed read. */
export type ReadText =
  { readonly text: string; readonly isTruncated: boolean } | { readonly code: string }

/** Reads files within the limits and records their paths. */
export interface TextSource {
  /** Never rejects. */
  read(path: string): Promise<ReadText>
  /** All requested paths, existing or not. */
  readonly files: ReadonlySet<string>
  /** Consumes one of the allowed elements; false if none are left. */
  consumeBudget(): boolean
}

/** Creates a source for one reading of the configuration. */
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

/** Reads from the file system. A pipe without a writer is empty instead of blocking. */
export const readTextFile: ReadFile = async (path, maxBytes) => {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY
  const file = await open(path, flags)
  try {
    return (await readUpTo(file, maxBytes + 1)).toString('utf8')
  } finally {
    await file.close()
  }
}

/** Redacts secrets, removes duplicates and keeps at most `limits.problems`, plus one problem that counts the rest. */
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
      message: `${rest} more problems from here are not listed`,
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
