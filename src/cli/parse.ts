import { parseArgs } from 'node:util'
import { UsageError } from './io.ts'
import { nearest } from '../diagnosis/nearest.ts'

interface OptionSpec {
  readonly type: 'boolean' | 'string'
  readonly short?: string
}

export interface Parsed {
  /** Of an option that is given twice, the last one. */
  readonly values: Readonly<Record<string, string | boolean | undefined>>
  /** Every value of each option with values, in order. */
  readonly lists: Readonly<Record<string, readonly string[]>>
  readonly positionals: readonly string[]
}

/** Splits a command's arguments; an unknown option is a sentence with the nearest name. */
export const parse = (
  args: readonly string[],
  options: Readonly<Record<string, OptionSpec>>,
): Parsed => {
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
      const near = nearest(token.name, Object.keys(options))
      throw new UsageError(
        `unknown option ${token.rawName}${near ? `, did you mean --${near}?` : ''}`,
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
