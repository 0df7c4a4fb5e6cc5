/** The table of what was injected and what was answered. Pure. */
import type { Asked } from './inject.ts'
import type { Expected } from './rows/row.ts'
import { builders, nodes, schemes, type BuilderAnswer } from './support.ts'

const words = (state: string, kind: string | null, side?: string): string =>
  kind === null ? state : `${state} ${kind}${side ? ` (${side})` : ''}`
export const saidBy = ({ state, cause }: BuilderAnswer): string =>
  words(state, cause?.kind ?? null, cause?.side)
const wantedBy = ({ state, kind, side }: Expected): string => words(state, kind, side)

/** The one of the right answers that this is, or null. */
export const rightAnswer = (
  builder: BuilderAnswer,
  expected: Expected,
): Expected | null => {
  const isIt =
    builder.state === expected.state &&
    (builder.cause?.kind ?? null) === expected.kind &&
    builder.cause?.side === expected.side
  if (isIt) return expected
  return expected.or ? rightAnswer(builder, expected.or) : null
}
const isNamed = ({ builder, expected }: Asked) => rightAnswer(builder, expected) !== null

const groupBy = <T, K>(all: readonly T[], keyOf: (one: T) => K): Map<K, T[]> => {
  const groups = new Map<K, T[]>()
  for (const one of all) {
    const key = keyOf(one)
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return groups
}

/** No answer shall take longer. */
export const patienceSeconds = 15
/** Dozens of builders are asked at once where nothing has to be broken for it, on as few cores as CI has. */
export const crowdPatienceSeconds = 30

const patienceFor = ({ row }: Asked) =>
  row.faults ? patienceSeconds : crowdPatienceSeconds

export interface Score {
  readonly named: number
  readonly of: number
  /** Answers that took too long, rows apart whose fault it is to wait. */
  readonly late: number
  readonly text: string
}

export const scoreOf = (asked: readonly Asked[]): Score => {
  const columns = nodes.flatMap(node =>
    schemes.map(scheme => ({ node, scheme, head: `${builders[node]} ${scheme}` })),
  )
  const byRow = groupBy(asked, ({ row }) => row)
  const wide = Math.max(...[...byRow.keys()].map(({ name }) => name.length))
  const cell = (some: readonly Asked[]): string => {
    if (!some.length) return '-'
    const wrong = some.find(one => !isNamed(one))
    const seconds = Math.max(...some.map(one => one.seconds)).toFixed(1)
    return wrong
      ? `NOT ${wrong.builder.cause?.kind ?? wrong.builder.state}`
      : `${seconds} s`
  }
  const line = (name: string, cells: readonly string[], kind: string) =>
    `${name.padEnd(wide)}  ${cells.map(text => text.padStart(11)).join('')}  ${kind}`
  const table = [
    line(
      'fault',
      columns.map(({ head }) => head),
      'expected',
    ),
    ...[...byRow].map(([row, all]) =>
      line(
        row.name,
        columns.map(({ node, scheme }) =>
          cell(all.filter(({ where }) => where.node === node && where.scheme === scheme)),
        ),
        [...new Set(all.map(({ expected }) => wantedBy(expected)))].join(', or '),
      ),
    ),
  ]
  const hurried = asked.filter(({ row }) => !row.isLong)
  const late = hurried.filter(one => one.seconds > patienceFor(one))
  const slowest = asked.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10)
  const confused = groupBy(
    asked.filter(one => !isNamed(one)),
    ({ row, expected, builder }) =>
      `${row.name}: ${wantedBy(expected)} -> ${saidBy(builder)}`,
  )
  const place = ({ where }: Asked) =>
    `${where.scheme} from ${where.client} to ${builders[where.node]}`
  const named = asked.filter(isNamed).length
  const text = [
    'Injected for real, and the time to the answer (the slowest of all clients):',
    '',
    ...table,
    '',
    'slowest answers:',
    ...slowest.map(
      one => `  ${one.seconds.toFixed(1).padStart(5)} s  ${one.row.name}, ${place(one)}`,
    ),
    confused.size ? 'confused (expected -> got):' : 'confused: nothing',
    ...[...confused].map(
      ([what, all]) =>
        `  ${all.length} x ${what}; ${[...new Set(all.map(place))].join('; ')}`,
    ),
    `answers within ${patienceSeconds} s (${crowdPatienceSeconds} s in a crowd): ${hurried.length - late.length} of ${hurried.length}; ${asked.length - hurried.length} more wait as long as a canary may`,
    `named ${named} of ${asked.length} (${byRow.size} rows)`,
  ].join('\n')
  return { named, of: asked.length, late: late.length, text }
}
