import { parseArgs } from 'node:util'
import { UsageError } from './terminal.ts'
import { closestMatch } from '../text/closest-match.ts'

interface OptionSpec {
  readonly type: 'boolean' | 'string'
  readonly short?: string
}

export interface ParsedArguments {
  /** Of an option that is given twice, the last one. */
  readonly values: Readonly<Record<string, string | boolean | undefined>>
  /** Every value of each option with values, in order. */
  readonly lists: Readonly<Record<string, readonly string[]>>
  readonly positionals: readonly string[]
}

/** Splits a command's arguments; an unknown option is a sentence with the nearest name. */
export const parseArguments = (
  args: readonly string[],
  options: Readonly<Record<string, OptionSpec>>,
): ParsedArguments => {
  const { tokens } = parseArgs({
    args: [...args],
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const values: Record<string, string | boolean | undefined> = {}
  const lists: Record<string, string[]> = {}
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const spec = options[token.name]
    if (!spec) {
      const suggestion = closestMatch(token.name, Object.keys(options))
      throw new UsageError(
        `unknown option ${token.rawName}${suggestion ? `, did you mean --${suggestion}?` : ''}`,
      )
    }
    if (spec.type === 'string' && (token.value === undefined || token.value === ''))
      throw new UsageError(`option ${token.rawName} needs a value`)
    if (spec.type === 'boolean' && token.value !== undefined)
      throw new UsageError(`option ${token.rawName} takes no value`)
    values[token.name] = token.value ?? true
    if (token.value !== undefined) (lists[token.name] ??= []).push(token.value)
  }
  return { values, lists, positionals }
}
