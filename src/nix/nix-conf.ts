import { stripComment, quote, words } from './text.ts'

/** One line of a nix.conf, or of NIX_CONFIG, that says something; `line` counts from 1. */
export type Statement =
  | {
      readonly kind: 'set'
      readonly line: number
      readonly name: string
      /** The words joined by single blanks. */
      readonly value: string
    }
  | {
      readonly kind: 'include'
      readonly line: number
      /** As written; relative to the directory of the including file. */
      readonly path: string
      /** `!include`: the file may be missing. */
      readonly optional: boolean
    }
  | {
      readonly kind: 'error'
      readonly line: number
      /** What is wrong and what Nix does about it. */
      readonly message: string
    }

/** What happens to a configuration that Nix cannot read. */
export const configConsequence =
  'every nix command on this machine fails until this line is mended'

/**
 * The statements of a nix.conf, one by one, so that the caller may stop early (config.cc applyConfig). Never throws.
 * After an error Nix reads no further; we do, so that all errors are told at once.
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
