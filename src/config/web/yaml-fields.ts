import { closestMatch } from '../../text/closest-match.ts'
import type { YamlError, YamlNode } from './yaml.ts'

/** Collects what is wrong, so that all of it can be told at once. */
export interface ErrorList {
  readonly all: readonly YamlError[]
  add(line: number, text: string): void
}

export const createErrorList = (): ErrorList => {
  const all: YamlError[] = []
  return { all, add: (line, text) => void all.push({ line, text }) }
}

/** A field of a map: its value, or null where it is absent or empty. */
export type Fields = Readonly<Record<string, YamlNode | null>>

/** A map with these keys and no others; what is not known is a fault with the nearest name. */
export const parseFields = (
  node: YamlNode | null,
  where: string,
  known: readonly string[],
  errors: ErrorList,
): Fields => {
  const fields: Record<string, YamlNode | null> = Object.fromEntries(
    known.map(key => [key, null]),
  )
  for (const { key, line, value } of parseEntries(node, where, errors)) {
    if (!known.includes(key)) {
      const suggestion = closestMatch(key, known)
      const name = printable(where === '' ? key : `${where}.${key}`)
      errors.add(
        line,
        `there is no ${name}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
      )
    } else if (value.kind !== 'text' || !value.isNull) fields[key] = value
  }
  return fields
}

export const parseEntries = (node: YamlNode | null, where: string, errors: ErrorList) => {
  if (node === null || (node.kind === 'text' && node.isNull)) return []
  if (node.kind === 'map') return node.entries
  errors.add(node.line, `${where || 'the file'} must be a map of keys and values`)
  return []
}

/** A text; null where it is absent, empty or not one. */
export const parseText = (
  node: YamlNode | null | undefined,
  where: string,
  errors: ErrorList,
): string | null => {
  if (!node) return null
  if (node.kind === 'text') return node.value === '' ? null : node.value
  errors.add(node.line, `${where} must be a text`)
  return null
}

/** A list of texts; null where it is absent. */
export const parseTexts = (
  node: YamlNode | null | undefined,
  where: string,
  errors: ErrorList,
): readonly { readonly line: number; readonly value: string }[] | null => {
  if (!node) return null
  if (node.kind !== 'list') {
    errors.add(node.line, `${where} must be a list`)
    return null
  }
  return node.items.flatMap(item => {
    const value = parseText(item, `each of ${where}`, errors)
    return value === null ? [] : [{ line: item.line, value }]
  })
}

/** The member of a closed set that is written there; null where it is absent or none of them. */
export const parseChoice = <T extends string>(
  node: YamlNode | null | undefined,
  where: string,
  choices: readonly T[],
  errors: ErrorList,
): T | null => {
  const value = parseText(node, where, errors)
  return value === null || !node
    ? null
    : findMember({ line: node.line, value }, where, choices, errors)
}

/** Members of a closed set, in their order. */
export const parseChoices = <T extends string>(
  node: YamlNode | null | undefined,
  where: string,
  choices: readonly T[],
  errors: ErrorList,
): readonly T[] =>
  (parseTexts(node, where, errors) ?? []).flatMap(
    text => findMember(text, where, choices, errors) ?? [],
  )

const findMember = <T extends string>(
  { line, value }: { readonly line: number; readonly value: string },
  where: string,
  choices: readonly T[],
  errors: ErrorList,
): T | null => {
  const found = choices.find(one => one === value)
  if (found !== undefined) return found
  const suggestion = closestMatch(value, choices)
  const some = choices.slice(0, 6).join(', ')
  const suggestionText = suggestion
    ? `, did you mean ${suggestion}?`
    : `: one of ${some}${choices.length > 6 ? ' ...' : ''}`
  errors.add(line, `${where} cannot be ${printable(value)}${suggestionText}`)
  return null
}

type Read<T> = (
  node: YamlNode | null | undefined,
  where: string,
  errors: ErrorList,
) => T | null

/** Reads a scalar; what cannot be read is a fault. */
const scalarBy =
  <T>(parse: (text: string) => T | null, must: string): Read<T> =>
  (node, where, errors) => {
    const text = parseText(node, where, errors)
    if (text === null || !node) return null
    const value = parse(text)
    if (value === null) errors.add(node.line, `${where} must be ${must}`)
    return value
  }

/** A boolean in the words of YAML 1.1, which exporters read. */
export const parseBoolean = scalarBy(text => {
  if (/^(?:true|yes|on|y)$/i.test(text)) return true
  return /^(?:false|no|off|n)$/i.test(text) ? false : null
}, 'true or false')

const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** Milliseconds of a duration as Go writes it: `1s`, `1m30s`, `250ms`, `0` (time.ParseDuration). */
export const parseDuration = scalarBy(text => {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return null
  const parts = [...text.matchAll(/([\d.]+)(\D+)/g)]
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0)
}, 'a duration such as 1s or 250ms')

/** A whole number that is not negative. */
export const parseCount = scalarBy(
  text => (/^\d{1,9}$/.test(text) ? Number(text) : null),
  'a whole number',
)

/** What a file says, fit for one line of a terminal. */
export const printable = (text: string): string =>
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?').slice(0, 80)
