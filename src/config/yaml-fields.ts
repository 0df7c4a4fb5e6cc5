import { nearest } from '../diagnosis/nearest.ts'
import type { YamlFault, YamlNode } from './yaml.ts'

/** Collects what is wrong, so that all of it can be told at once. */
export interface Faults {
  readonly all: readonly YamlFault[]
  add(line: number, text: string): void
}

export const createFaults = (): Faults => {
  const all: YamlFault[] = []
  return { all, add: (line, text) => void all.push({ line, text }) }
}

/** A field of a map: its value, or null where it is absent or empty. */
export type Fields = Readonly<Record<string, YamlNode | null>>

/** A map with these keys and no others; what is not known is a fault with the nearest name. */
export const fieldsOf = (
  node: YamlNode | null,
  where: string,
  known: readonly string[],
  faults: Faults,
): Fields => {
  const fields: Record<string, YamlNode | null> = Object.fromEntries(
    known.map(key => [key, null]),
  )
  for (const { key, line, value } of entriesOf(node, where, faults)) {
    if (!known.includes(key)) {
      const near = nearest(key, known)
      const name = printable(where === '' ? key : `${where}.${key}`)
      faults.add(line, `there is no ${name}${near ? `, did you mean ${near}?` : ''}`)
    } else if (value.kind !== 'text' || !value.isNull) fields[key] = value
  }
  return fields
}

export const entriesOf = (node: YamlNode | null, where: string, faults: Faults) => {
  if (node === null || (node.kind === 'text' && node.isNull)) return []
  if (node.kind === 'map') return node.entries
  faults.add(node.line, `${where || 'the file'} must be a map of keys and values`)
  return []
}

/** A text; null where it is absent, empty or not one. */
export const textOf = (
  node: YamlNode | null | undefined,
  where: string,
  faults: Faults,
): string | null => {
  if (!node) return null
  if (node.kind === 'text') return node.value === '' ? null : node.value
  faults.add(node.line, `${where} must be a text`)
  return null
}

/** A list of texts; null where it is absent. */
export const textsOf = (
  node: YamlNode | null | undefined,
  where: string,
  faults: Faults,
): readonly { readonly line: number; readonly value: string }[] | null => {
  if (!node) return null
  if (node.kind !== 'list') {
    faults.add(node.line, `${where} must be a list`)
    return null
  }
  return node.items.flatMap(item => {
    const value = textOf(item, `each of ${where}`, faults)
    return value === null ? [] : [{ line: item.line, value }]
  })
}

/** The member of a closed set that is written there; null where it is absent or none of them. */
export const choiceOf = <T extends string>(
  node: YamlNode | null | undefined,
  where: string,
  choices: readonly T[],
  faults: Faults,
): T | null => {
  const value = textOf(node, where, faults)
  return value === null || !node
    ? null
    : memberOf({ line: node.line, value }, where, choices, faults)
}

/** Members of a closed set, in their order. */
export const choicesOf = <T extends string>(
  node: YamlNode | null | undefined,
  where: string,
  choices: readonly T[],
  faults: Faults,
): readonly T[] =>
  (textsOf(node, where, faults) ?? []).flatMap(
    text => memberOf(text, where, choices, faults) ?? [],
  )

const memberOf = <T extends string>(
  { line, value }: { readonly line: number; readonly value: string },
  where: string,
  choices: readonly T[],
  faults: Faults,
): T | null => {
  const found = choices.find(one => one === value)
  if (found !== undefined) return found
  const near = nearest(value, choices)
  const some = choices.slice(0, 6).join(', ')
  const hint = near
    ? `, did you mean ${near}?`
    : `: one of ${some}${choices.length > 6 ? ' ...' : ''}`
  faults.add(line, `${where} cannot be ${printable(value)}${hint}`)
  return null
}

type Read<T> = (
  node: YamlNode | null | undefined,
  where: string,
  faults: Faults,
) => T | null

/** Reads a scalar; what cannot be read is a fault. */
const scalarBy =
  <T>(parse: (text: string) => T | null, must: string): Read<T> =>
  (node, where, faults) => {
    const text = textOf(node, where, faults)
    if (text === null || !node) return null
    const value = parse(text)
    if (value === null) faults.add(node.line, `${where} must be ${must}`)
    return value
  }

/** A boolean in the words of YAML 1.1, which exporters read. */
export const booleanOf = scalarBy(text => {
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
export const durationOf = scalarBy(text => {
  if (text === '0') return 0
  if (!/^(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return null
  const parts = [...text.matchAll(/([\d.]+)(\D+)/g)]
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * units[unit!]!, 0)
}, 'a duration such as 1s or 250ms')

/** A whole number that is not negative. */
export const countOf = scalarBy(
  text => (/^\d{1,9}$/.test(text) ? Number(text) : null),
  'a whole number',
)

/** What a file says, fit for one line of a terminal. */
export const printable = (text: string): string =>
  text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?').slice(0, 80)
