import { stripComment, quote, words } from './text.ts'

/** One statement of nix.conf or NIX_CONFIG; `line` is 1-based. */
export type Statement =
  | {
      readonly kind: 'set'
      readonly line: number
      readonly name: string
      /** The words joined by single spaces. */
      readonly value: string
    }
  | {
      readonly kind: 'include'
      readonly line: number
      /** As written; relative paths start at the directory of the including file. */
      readonly path: string
      /** `!include`: a missing file is not an error. */
      readonly optional: boolean
    }
  | {
      readonly kind: 'error'
      readonly line: number
      /** The error and its consequence in Nix. */
      readonly message: string
    }

export const configConsequence =
  'every nix command on this machine fails until this line is fixed'

/**
 * Parses the statements of a nix.conf lazily, so the caller can stop early (config.cc applyConfig). Never throws. Nix
 * stops at the first error; this continues, to report all errors at once.
 */
export function* parseStatements(text: string): Generator<Statement, void, undefined> {
  let line = 0
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline
    line++
    const statement = parseStatement(text.slice(at, end), line)
    if (statement) yield statement
    at = end + 1
  }
}

const parseStatement = (text: string, line: number): Statement | null => {
  const [first, second, ...rest] = words(stripComment(text))
  if (first === undefined) return null
  const optional = first === '!include'
  if (second !== undefined && (first === 'include' || optional))
    return rest.length === 0
      ? { kind: 'include', line, path: second, optional }
      : { kind: 'error', line, message: syntaxError(text, `${first} takes one path`) }
  if (second === '=') return { kind: 'set', line, name: first, value: rest.join(' ') }
  return { kind: 'error', line, message: syntaxError(text, 'expected NAME = VALUE') }
}

const syntaxError = (text: string, what: string): string =>
  `syntax error in ${quote(text)} (${what}): ${configConsequence}`
