import { parse, TomlError } from 'smol-toml'

/** A TOML document (toml.io v1.0), or what is wrong with its syntax and the 1-based line where. */
export type TomlResult =
  | { readonly table: Readonly<Record<string, unknown>> }
  | { readonly error: string; readonly line: number }

/** Deeper than any machines list; the parser is recursive. */
const maxDepth = 20

/** Parses TOML. Integers come as bigint, so that `8` and `8.0` differ as they do for Nix. Never throws. */
export const parseToml = (text: string): TomlResult => {
  try {
    return { table: parse(text, { integersAsBigInt: true, maxDepth }) }
  } catch (error) {
    if (!(error instanceof TomlError)) return { error: 'it cannot be read', line: 1 }
    const [first = ''] = error.message.split('\n')
    return { error: first.replace('Invalid TOML document: ', ''), line: error.line }
  }
}
