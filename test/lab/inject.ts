/** Rows made real: faults on the builders, the product asked, what it answered. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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

/** One builder that was asked about one row. */
export interface Asked {
  readonly row: Row
  readonly where: Where
  readonly expected: Expected
  readonly builder: BuilderAnswer
  /** All that was answered in the same run. */
  readonly whole: Answer
  /** To the whole answer; where many rows were asked at once, from the first probe of this builder to its last. */
  readonly seconds: number
}
export interface Injected {
  readonly row: Row
  readonly asked: readonly Asked[]
  /** Runs of the product that were asked about this row alone. */
  readonly runs: readonly {
    readonly client: Client
    readonly exit: number | null
    readonly asked: readonly Asked[]
  }[]
  readonly complaints: readonly string[]
  readonly seconds: number
}

export interface Plan {
  readonly row: Row
  readonly on: readonly Node[]
  readonly clients: readonly Client[]
}
/** Every pair of versions comes up in so many turns. */
export const turns = nodes.length * clientNames.length

/** All builders and all clients for each row, or one of each: another pair each time `turn` changes. */
export const planOf = (rows: readonly Row[], turn: number | null): readonly Plan[] =>
  rows.map((row, i) => {
    const on = row.on ?? nodes
    const clients = row.clients ?? clientNames
    if (turn === null) return { row, on, clients }
    const oneOf = <T>(all: readonly T[], step: number) => {
      const at = (i + step) % all.length
      return all.slice(at, at + 1)
    }
    // All builders with the one client, then all with the other
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

interface Wanted {
  readonly row: Row
  readonly where: Where
  readonly line: Line
  readonly expected: Expected
  readonly ssh: readonly string[]
}
const wantedOf = (row: Row, client: Client, on: readonly Node[], alias: string) =>
  on.flatMap(node =>
    schemes.map((scheme): Wanted => {
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

const ask = async (
  client: Client,
  wanted: readonly Wanted[],
  from: From,
): Promise<{ readonly ran: Check; readonly asked: readonly Asked[] }> => {
  const dir = await shared()
  try {
    // one section for both schemes
    const sections = new Map(
      wanted.map(({ line, ssh }) => [line.host, [`Host ${line.host}`, ...ssh, '']]),
    )
    const withSsh = wanted.some(({ ssh }) => ssh.length)
    if (withSsh)
      await writeFile(
        join(dir.outside, 'ssh_config'),
        `${[...sections.values()].flat().join('\n')}\n`,
      )
    const env = {
      ...(withSsh && { NIX_SSHOPTS: `-F ${dir.inside}/ssh_config` }),
      ...from.env,
    }
    const lines = wanted.map(({ line }) => line)
    const ran = await check({ ...from, client, lines, env })
    const asked = wanted.map(({ row, where, line, expected }) => {
      const builder = ran.of(line)
      const seconds = row.faults ? ran.seconds : probeSeconds(builder)
      return { row, where, expected, builder, whole: ran.answer, seconds }
    })
    return { ran, asked }
  } finally {
    await dir.drop()
  }
}

const prepare = async (client: Client, command: string | undefined) => {
  if (command === undefined) return
  const ran = await atClient(client, command)
  if (ran.exit !== 0) throw new Error(`${client}: ${command}: ${ran.stderr}`)
}

/** Rows without a fault on a builder: those that are asked in the same way are asked at once. */
export const askTogether = async (plans: readonly Plan[]): Promise<readonly Asked[]> => {
  const groups = new Map<string, Plan[]>()
  for (const plan of plans) {
    const key = JSON.stringify([plan.row.from ?? {}, plan.row.ssh !== undefined])
    groups.set(key, [...(groups.get(key) ?? []), plan])
  }
  const asked: Asked[] = []
  for (const group of groups.values()) {
    const from = group[0]?.row.from ?? {}
    // One after the other: client and builders have the same processors here, which is no fault of theirs
    for (const client of new Set(group.flatMap(({ clients }) => clients))) {
      await prepare(client, from.before)
      const wanted = group.flatMap(({ row, on, clients }, i) =>
        clients.includes(client) ? wantedOf(row, client, on, `v${i + 1}`) : [],
      )
      asked.push(...(await ask(client, wanted, from)).asked)
    }
  }
  return asked
}

/** A row with a fault on builders: broken, asked about, healed. */
export const inject = async ({ row, on, clients }: Plan): Promise<Injected> => {
  const started = performance.now()
  try {
    await Promise.all(
      on.map(async node => {
        for (const each of row.faults ?? []) await fault(node, each)
      }),
    )
    const runs = await Promise.all(
      clients.map(async client => {
        await prepare(client, row.from?.before)
        for (const node of on) await prepare(client, row.before?.(node))
        const answer = await ask(client, wantedOf(row, client, on, ''), row.from ?? {})
        return { client, exit: answer.ran.exit, asked: answer.asked }
      }),
    )
    const said = await Promise.all(
      on.map(async node => (await row.during?.(node)) ?? null),
    )
    return {
      row,
      runs,
      asked: runs.flatMap(({ asked }) => asked),
      complaints: said.filter(each => each !== null),
      seconds: (performance.now() - started) / 1000,
    }
  } catch (error) {
    // one fault that cannot be made hides no other row
    const complaints = [error instanceof Error ? error.message : String(error)]
    const seconds = (performance.now() - started) / 1000
    return { row, runs: [], asked: [], complaints, seconds }
  } finally {
    await Promise.all(on.map(heal))
  }
}

/** Each builder does one row after the other; rows on different builders are done side by side. */
export const injectAll = async (plans: readonly Plan[]): Promise<readonly Injected[]> => {
  const done: Injected[] = []
  const whole = plans.filter(({ on }) => on.length > 1)
  const lane = async (node: Node) => {
    const mine = plans.filter(({ on }) => on.length === 1 && on[0] === node)
    // Those that only wait come first, while the other lanes have work
    const ordered = mine.toSorted(
      (a, b) => Number(b.row.isLong ?? 0) - Number(a.row.isLong ?? 0),
    )
    for (const plan of ordered) done.push(await inject(plan))
  }
  await Promise.all((Object.keys(builders) as Node[]).map(lane))
  for (const plan of whole) done.push(await inject(plan))
  return done
}
