/**
 * What the status page of 1,000 builders costs: CPU time of one update while 14 addresses with different filters are
 * followed and one builder changes, and the time of a GET. The peer in the same run is one serialization of the report,
 * which every reader of the API pays.
 * Run: node --import ./scripts/ts/register.mjs bench/page.ts
 */
import { get as httpGet } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createReport } from '../src/diagnosis/report.ts'
import { createPageExporter } from '../src/exporters/page/index.ts'
import type { BuilderState, Snapshot } from '../src/model/index.ts'
import {
  allOk,
  builderOf,
  memoryValue,
  now,
  recordOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../test/exporters/fixture.ts'

const builders = 1000
const addresses = 14
const rounds = 10

const fleet = (): BuilderState[] =>
  Array.from({ length: builders }, (_, i) => ({
    ...stateOf(
      builderOf(`builder-${i}.example.org`),
      allOk(),
      i % 10 === 0
        ? {
            state: 'degraded' as const,
            cause: {
              probe: 'disk' as const,
              kind: 'below_min_free' as const,
              params: {},
            },
          }
        : {},
    ),
    history: {
      login: Array.from({ length: 60 }, (_, n) => ({
        status: (n + i) % 9 === 0 ? ('failed' as const) : ('ok' as const),
        kind: null,
        at: now - 120 * (60 - n),
        durationSeconds: 0.1,
        trends: {},
      })),
    },
  }))

/** One builder has a new result. */
const changed = (snapshot: Snapshot, round: number): Snapshot => {
  const name = `builder-${round}.example.org`
  const state = snapshot.builders.get(name)!
  const next: BuilderState = {
    ...state,
    health: { ...state.health, since: now - 7200 - round },
    probes: {
      ...state.probes,
      memory: recordOf('memory', {
        status: 'ok',
        value: { ...memoryValue, availableBytes: 1e9 + round },
      }),
    },
  }
  return { ...snapshot, builders: new Map(snapshot.builders).set(name, next) }
}

const cpuMs = () => process.cpuUsage().user / 1000
const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN

const view = viewOf(snapshotOf(fleet()))
const page = createPageExporter({ version: '0', now: () => now })
const { url, get, close } = await serve(view, page)

const peer = median(
  Array.from({ length: 20 }, () => {
    const from = cpuMs()
    JSON.stringify(createReport(view.read()))
    return cpuMs() - from
  }),
)

const gets: number[] = []
for (let i = -3; i < 20; i++) {
  const from = cpuMs()
  const { body } = await get('/', { 'accept-encoding': 'identity' })
  if (i >= 0) gets.push(cpuMs() - from)
  else if (i === -3)
    console.log(`${builders} builders, ${(body.length / 1e6).toFixed(2)} MB`)
}

const streams = Array.from({ length: addresses }, (_, i) =>
  httpGet(
    `${url}/live?page=${encodeURIComponent(i === 0 ? '/' : `/?name=${i}`)}`,
    response => response.resume(),
  ),
)
await delay(3000)
const updates: number[] = []
for (let round = 0; round < rounds; round++) {
  const from = cpuMs()
  view.set(changed(view.read(), round))
  await delay(1500)
  updates.push(cpuMs() - from)
}
for (const stream of streams) stream.destroy()
await close()

const ratio = (ms: number) =>
  `${ms.toFixed(1).padStart(8)} ms  ${(ms / peer).toFixed(2)} x`
console.log(`one JSON report           ${ratio(peer)}`)
console.log(`GET /                     ${ratio(median(gets))}`)
console.log(`one update, ${addresses} addresses  ${ratio(median(updates))}`)
