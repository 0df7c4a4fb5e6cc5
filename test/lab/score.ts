/** Table of injected faults and reported causes. Pure. */
import type { RowResult } from './inject.ts'
import { contradiction } from './oracle.ts'
import type { Expected } from './rows/row.ts'
import { builders, nodes, schemes, type BuilderAnswer } from './support.ts'

const describe = (state: string, kind: string | null, side?: string): string =>
  kind === null ? state : `${state} ${kind}${side ? ` (${side})` : ''}`
export const describeResult = ({ state, cause }: BuilderAnswer): string =>
  describe(state, cause?.kind ?? null, cause?.side)
const describeExpected = ({ state, kind, side }: Expected): string =>
  describe(state, kind, side)

/** The result of the right answers that this is, or null. */
export const matchExpected = (
  builder: BuilderAnswer,
  expected: Expected,
): Expected | null => {
  const matches =
    builder.state === expected.state &&
    (builder.cause?.kind ?? null) === expected.kind &&
    builder.cause?.side === expected.side
  if (matches) return expected
  return expected.or ? matchExpected(builder, expected.or) : null
}
const isCorrect = ({ builder, expected }: RowResult) =>
  matchExpected(builder, expected) !== null

const groupBy = <T, K>(all: readonly T[], keyOf: (one: T) => K): Map<K, T[]> => {
  const groups = new Map<K, T[]>()
  for (const result of all) {
    const key = keyOf(result)
    groups.set(key, [...(groups.get(key) ?? []), result])
  }
  return groups
}

/** Limit for a run with one row. */
export const maxSeconds = 15
/** Limit for a shared run: it checks dozens of builders on the few cores of CI. */
export const sharedMaxSeconds = 30

const describeBuild = (some: readonly RowResult[]): string => {
  const builds = some.flatMap(({ build }) => build ?? [])
  return [...new Set(builds.map(({ ended }) => ended))].join(', ') || '-'
}

const maxSecondsFor = ({ row }: RowResult) => (row.faults ? maxSeconds : sharedMaxSeconds)

export interface Score {
  readonly named: number
  readonly of: number
  /** Results after the limit, without rows whose fault is a wait. */
  readonly late: number
  /** Results that do not contradict the real build, of `compared`. */
  readonly agrees: number
  readonly compared: number
  readonly text: string
}

export const scoreOf = (results: readonly RowResult[]): Score => {
  const columns = nodes.flatMap(node =>
    schemes.map(scheme => ({ node, scheme, head: `${builders[node]} ${scheme}` })),
  )
  const byRow = groupBy(results, ({ row }) => row)
  const wide = Math.max(...[...byRow.keys()].map(({ name }) => name.length))
  const cell = (some: readonly RowResult[]): string => {
    if (!some.length) return '-'
    const wrong = some.find(result => !isCorrect(result))
    const seconds = Math.max(...some.map(result => result.seconds)).toFixed(1)
    return wrong
      ? `NOT ${wrong.builder.cause?.kind ?? wrong.builder.state}`
      : `${seconds} s`
  }
  const line = (name: string, cells: readonly string[], build: string, kind: string) =>
    `${name.padEnd(wide)}  ${cells.map(text => text.padStart(11)).join('')}  ${build.padEnd(13)}  ${kind}`
  const table = [
    line(
      'fault',
      columns.map(({ head }) => head),
      'real build',
      'expected',
    ),
    ...[...byRow].map(([row, all]) =>
      line(
        row.name,
        columns.map(({ node, scheme }) =>
          cell(all.filter(({ where }) => where.node === node && where.scheme === scheme)),
        ),
        describeBuild(all),
        [...new Set(all.map(({ expected }) => describeExpected(expected)))].join(', or '),
      ),
    ),
  ]
  const limited = results.filter(({ row }) => !row.isLong)
  const late = limited.filter(result => result.seconds > maxSecondsFor(result))
  const slowest = results.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10)
  const wrong = groupBy(
    results.filter(result => !isCorrect(result)),
    ({ row, expected, builder }) =>
      `${row.name}: ${describeExpected(expected)} -> ${describeResult(builder)}`,
  )
  const place = ({ where }: Pick<RowResult, 'where'>) =>
    `${where.scheme} from ${where.client} to ${builders[where.node]}`
  const named = results.filter(isCorrect).length
  const compared = results.flatMap(({ build, ...result }) =>
    build
      ? [
          {
            ...result,
            build,
            problem: contradiction(build, result.builder, result.answer),
          },
        ]
      : [],
  )
  const contradictions = compared.filter(({ problem }) => problem !== null)
  const agrees = compared.length - contradictions.length
  const text = [
    'Set-ups, the time to the result (slowest client), and what a real build does:',
    '',
    ...table,
    '',
    'slowest results:',
    ...slowest.map(
      result =>
        `  ${result.seconds.toFixed(1).padStart(5)} s  ${result.row.name}, ${place(result)}`,
    ),
    wrong.size ? 'wrong (expected -> got):' : 'wrong: none',
    ...[...wrong].map(
      ([what, all]) =>
        `  ${all.length} x ${what}; ${[...new Set(all.map(place))].join('; ')}`,
    ),
    contradictions.length
      ? 'contradicts the real build:'
      : 'contradicts the real build: none',
    ...contradictions.map(
      ({ row, problem, build, where }) =>
        `  ${row.name}, ${place({ where })}: ${problem}${build.output ? `\n${build.output.replace(/^/gm, '    ')}` : ''}`,
    ),
    `results within ${maxSeconds} s (${sharedMaxSeconds} s in a shared run): ${limited.length - late.length} of ${limited.length}; ${results.length - limited.length} more wait until the canary's deadline`,
    `agrees with the real build in ${agrees} of ${compared.length}`,
    `named ${named} of ${results.length} (${byRow.size} rows)`,
  ].join('\n')
  return {
    named,
    of: results.length,
    late: late.length,
    agrees,
    compared: compared.length,
    text,
  }
}
