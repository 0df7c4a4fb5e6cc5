import { parse, TomlError } from 'smol-toml'

/** A TOML document (toml.io v1.0), or a syntax error with its 1-based line. */
export type TomlResult =
  | { readonly table: Readonly<Record<string, unknown>> }
  | { readonly error: string; readonly line: number }

/** Limit for the recursive parser; machines lists are not nested this deeply. */
const maxDepth = 20

/** Parses TOML with integers as bigint, so that `8` and `8.0` differ as in Nix. Never throws. */
export const parseToml = (text: string): TomlResult => {
  try {
    return { table: parse(text, { integersAsBigInt: true, maxDepth }) }
  } catch (error) {
    if (!(error instanceof TomlError)) return { error: 'cannot be parsed', line: 1 }
    const [first = ''] = error.message.split('\n')
    return { error: first.replace('Invalid TOML document: ', ''), line: error.line }
  }
}
