import type { NixDialect } from '../dialect.ts'
import { stripComment, trim } from '../text.ts'

/** One element of a `builders` value: an include `@path` or a machine line. `line` is 1-based. */
export interface MachinesEntry {
  readonly kind: 'include' | 'machine'
  /** The path without `@`, or the machine line without its comment and with its whitespace. */
  readonly text: string
  readonly line: number
  /** True if a `#` precedes it in the line; only the legacy parsing order makes an element of such text. */
  readonly isInComment?: boolean
}

/**
 * Splits a `builders` value or a machines file into its elements, in order (machines.cc expandBuilderLines). Lazy, so the
 * caller can stop early. Never throws.
 */
export function* parseMachinesEntries(
  text: string,
  dialect: NixDialect,
): Generator<MachinesEntry, void, undefined> {
  let line = 0
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    line++
    yield* parseLine(text.slice(at, end), line, dialect)
    at = end + 1
  }
}

function* parseLine(
  text: string,
  line: number,
  dialect: NixDialect,
): Generator<MachinesEntry, void, undefined> {
  const isLegacy = dialect.commentParsing === 'legacy'
  // legacy parsing makes a machine of the text after `;` in a comment, and an invalid machine of whitespace
  let isInComment = false
  for (const element of (isLegacy ? text : stripComment(text)).split(';')) {
    const mark = isInComment ? { isInComment } : {}
    isInComment ||= element.includes('#')
    const entry = isLegacy ? stripComment(element) : trim(element)
    if (entry === '') continue
    if (entry.startsWith('@'))
      yield { kind: 'include', text: trim(entry.slice(1)), line, ...mark }
    else yield { kind: 'machine', text: entry, line, ...mark }
  }
}
