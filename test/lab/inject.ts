/** Injects the faults of the rows, runs `check` and collects the results. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildReally, type RealBuild } from './oracle.ts'
import type { Expected, From, Row, Where } from './rows/row.ts'
import {
  atClient,
  builders,
  check,
  clientNames,
  fault,
  heal,
  nodes,
  schemes,
  shared,
  type Answer,
  type BuilderAnswer,
  type Check,
  type Client,
  type Line,
  type Node,
} from './support.ts'

/** The result of one builder for one row. */
export interface RowResult {
  readonly row: Row
  readonly where: Where
  readonly expected: Expected
  readonly builder: BuilderAnswer
  /** The complete output of the run. */
  readonly answer: Answer
  /** Duration of the run; in a shared run, from the first probe of this builder to its last. */
  readonly seconds: number
  /** What a real build with the same settings did. Null where the row has none. */
  readonly build: RealBuild | null
}
export interface Injected {
  readonly row: Row
  readonly results: readonly RowResult[]
  /** Runs of `check` with this row only. */
  readonly runs: readonly {
    readonly client: Client
    readonly exit: number | null
    readonly results: readonly RowResult[]
  }[]
  readonly problems: readonly string[]
  readonly seconds: number
}

export interface Plan {
  readonly row: Row
  readonly on: readonly Node[]
  readonly clients: readonly Client[]
}
/** Number of turns after which every pair of versions was tested. */
export const turns = nodes.length * clientNames.length

/** CI tests one slice of the rows at a time, because each set-up costs seconds. */
export const slices = 5

/** Returns the rows of a turn: all with null, one slice for the first `turns` turns, then the next. */
export const sliceOf = <T>(rows: readonly T[], turn: number | null): readonly T[] =>
  turn === null
    ? rows
    : rows.filter((_, i) => (i + Math.floor(turn / turns)) % slices === 0)

/** Returns all builders and clients for each row, or one pair, which depends on `turn`. */
export const planOf = (rows: readonly Row[], turn: number | null): readonly Plan[] =>
  rows.map((row, i) => {
    const on = row.on ?? nodes
    const clients = row.clients ?? clientNames
    if (turn === null) return { row, on, clients }
    const oneOf = <T>(all: readonly T[], step: number) => {
      const at = (i + step) % all.length
      return all.slice(at, at + 1)
    }
    // All builders with the first client, then with the next
    return {
      row,
      on: oneOf(on, turn),
      clients: oneOf(clients, Math.floor(turn / nodes.length)),
    }
  })

const probeSeconds = ({ probes }: BuilderAnswer): number => {
  const done = Object.values(probes).filter(({ durationSeconds }) => durationSeconds > 0)
  if (!done.length) return 0
  const starts = done.map(({ at, durationSeconds }) => at - durationSeconds)
  return Math.max(...done.map(({ at }) => at)) - Math.min(...starts)
}

interface PlannedCheck {
  readonly row: Row
  readonly where: Where
  readonly line: Line
  readonly expected: Expected
  readonly ssh: readonly string[]
}
const planChecks = (row: Row, client: Client, on: readonly Node[], alias: string) =>
  on.flatMap(node =>
    schemes.map((scheme): PlannedCheck => {
      const where = { client, node, scheme }
      const host = alias ? `${alias}.${node}` : node
      const line = { scheme, host, ...row.line?.(where) }
      return {
        row,
        where,
        line,
        expected: row.expect(where),
        ssh: row.ssh?.(where, line.host) ?? [],
      }
    }),
  )

/** Real builds at a time. */
const maxBuilds = 6

const mapConcurrently = async <T, R>(
  items: readonly T[],
  limit: number,
  convert: (item: T) => Promise<R>,
): Promise<R[]> => {
  const results: R[] = []
  const queue = [...items.entries()]
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift())
      results[next[0]] = await convert(next[1])
  }
  await Promise.all(Array.from({ length: limit }, worker))
  return results
}

const runCheck = async (
  client: Client,
  checks: readonly PlannedCheck[],
  from: From,
): Promise<{ readonly ran: Check; readonly results: readonly RowResult[] }> => {
  const dir = await shared()
  try {
    // One section for both schemes
    const sections = new Map(
      checks.map(({ line, ssh }) => [line.host, [`Host ${line.host}`, ...ssh, '']]),
    )
    const withSsh = checks.some(({ ssh }) => ssh.length)
    if (withSsh)
      await writeFile(
        join(dir.outside, 'ssh_config'),
        `${[...sections.values()].flat().join('\n')}\n`,
      )
    const env = {
      ...(withSsh && { NIX_SSHOPTS: `-F ${dir.inside}/ssh_config` }),
      ...from.env,
    }
    const lines = checks.map(({ line }) => line)
    const build = () =>
      mapConcurrently(checks, maxBuilds, ({ row, line }) =>
        row.noBuild === undefined
          ? buildReally({ ...from, client, env }, line)
          : Promise.resolve(null),
      )
    // Where both only wait for their deadlines they wait together
    const early = checks.every(({ row }) => row.isLong) ? build() : null
    const ran = await check({ ...from, client, lines, env })
    const builds = await (early ?? build())
    const results = checks.map(({ row, where, line, expected }, i) => {
      const builder = ran.of(line)
      const seconds = row.faults ? ran.seconds : probeSeconds(builder)
      const build = builds[i] ?? null
      return { row, where, expected, builder, answer: ran.answer, seconds, build }
    })
    return { ran, results }
  } finally {
    await dir.drop()
  }
}

const prepare = async (client: Client, command: string | undefined) => {
  if (command === undefined) return
  const ran = await atClient(client, command)
  if (ran.exit !== 0) throw new Error(`${client}: ${command}: ${ran.stderr}`)
}

/** Checks rows without a fault on a builder. Rows with the same settings share a run. */
export const checkTogether = async (
  plans: readonly Plan[],
): Promise<readonly RowResult[]> => {
  const groups = new Map<string, Plan[]>()
  for (const plan of plans) {
    const key = JSON.stringify([plan.row.from ?? {}, plan.row.ssh !== undefined])
    groups.set(key, [...(groups.get(key) ?? []), plan])
  }
  const results: RowResult[] = []
  for (const group of groups.values()) {
    const from = group[0]?.row.from ?? {}
    // Sequentially, because clients and builders share the processors of this machine
    for (const client of new Set(group.flatMap(({ clients }) => clients))) {
      await prepare(client, from.before)
      const checks = group.flatMap(({ row, on, clients }, i) =>
        clients.includes(client) ? planChecks(row, client, on, `v${i + 1}`) : [],
      )
      try {
        results.push(...(await runCheck(client, checks, from)).results)
      } finally {
        await prepare(client, from.after)
      }
    }
  }
  return results
}

/** Injects the faults of a row, runs `check` and heals the builders. */
export const inject = async ({ row, on, clients }: Plan): Promise<Injected> => {
  const started = performance.now()
  try {
    await Promise.all(
      on.map(async node => {
        for (const name of row.faults ?? []) await fault(node, name)
      }),
    )
    const runs = await Promise.all(
      clients.map(async client => {
        await prepare(client, row.from?.before)
        for (const node of on) await prepare(client, row.before?.(node))
        const checks = planChecks(row, client, on, '')
        try {
          const { ran, results } = await runCheck(client, checks, row.from ?? {})
          return { client, exit: ran.exit, results }
        } finally {
          await prepare(client, row.from?.after)
        }
      }),
    )
    const problems = await Promise.all(
      on.map(async node => (await row.during?.(node)) ?? null),
    )
    return {
      row,
      runs,
      results: runs.flatMap(({ results }) => results),
      problems: problems.filter(problem => problem !== null),
      seconds: (performance.now() - started) / 1000,
    }
  } catch (error) {
    // A fault that cannot be injected does not stop the other rows
    const problems = [error instanceof Error ? error.message : String(error)]
    const seconds = (performance.now() - started) / 1000
    return { row, runs: [], results: [], problems, seconds }
  } finally {
    await Promise.all(on.map(heal))
  }
}

/** Injects the rows: sequentially on each builder, in parallel on different builders. */
export const injectAll = async (plans: readonly Plan[]): Promise<readonly Injected[]> => {
  const done: Injected[] = []
  const shared = plans.filter(({ on }) => on.length > 1)
  const lane = async (node: Node) => {
    const own = plans.filter(({ on }) => on.length === 1 && on[0] === node)
    // Rows that only wait come first, while the other builders are busy
    const ordered = own.toSorted(
      (a, b) => Number(b.row.isLong ?? 0) - Number(a.row.isLong ?? 0),
    )
    for (const plan of ordered) done.push(await inject(plan))
  }
  await Promise.all((Object.keys(builders) as Node[]).map(lane))
  for (const plan of shared) done.push(await inject(plan))
  return done
}
