/**
 * What a scrape of 200 builders with the full set of series costs, over HTTP, against prom-client that renders the same
 * number of series at each scrape; and what the status page of the same fleet costs. Prints p50 and p99 in milliseconds and the ratio of p50 to that peer.
 * Run: node --import ./scripts/ts/register.mjs bench/metrics.ts
 */
import { Gauge, Registry } from 'prom-client'
import { createPrometheusExporter } from '../src/exporters/prometheus/prometheus.ts'
import { createPageExporter } from '../src/exporters/page/index.ts'
import type { Exporter } from '../src/exporters/exporter.ts'
import type { BuilderState, Snapshot } from '../src/model/index.ts'
import {
  allOk,
  builderOf,
  diskValue,
  memoryValue,
  now,
  recordOf,
  samplesOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../test/exporters/fixture.ts'

const builders = 200
const rounds = 300

const fleet = (): BuilderState[] =>
  Array.from({ length: builders }, (_, i) => ({
    ...stateOf(builderOf(`builder-${i}.example.org`), allOk(), {
      state: 'degraded' as const,
      cause: { probe: 'disk' as const, kind: 'below_min_free' as const, params: {} },
    }),
    past: {
      login: Array.from({ length: 60 }, (_, n) => ({
        status: (n + i) % 9 === 0 ? ('failed' as const) : ('ok' as const),
        kind: null,
        at: now - 120 * (60 - n),
        durationSeconds: 0.1,
        levels: {},
      })),
    },
  }))

/** Every builder has new disk and memory results and nothing was rendered before: the worst scrape. */
const measuredAgain = (snapshot: Snapshot, round: number): Snapshot =>
  snapshotOf(
    [...snapshot.builders.values()].map(state => ({
      ...state,
      probes: {
        ...state.probes,
        disk: recordOf('disk', {
          status: 'ok',
          value: { ...diskValue, belowMinFreeSince: now - round },
        }),
        memory: recordOf('memory', {
          status: 'ok',
          value: { ...memoryValue, availableBytes: 1e9 + round },
        }),
      },
    })),
  )

/** The same series in prom-client, which renders all of them at each scrape. */
const createPeer = (text: string): Exporter => {
  const registry = new Registry()
  const gauges = new Map<string, Gauge>()
  for (const line of text.split('\n')) {
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (!found) continue
    const [, name = '', inner = '', value = ''] = found
    const labels = Object.fromEntries(
      [...inner.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, key = '', label = '']) => [
        key,
        label,
      ]),
    )
    const gauge =
      gauges.get(name) ??
      new Gauge({
        name,
        help: name,
        labelNames: Object.keys(labels),
        registers: [registry],
      })
    gauges.set(name, gauge)
    gauge.set(labels, Number(value) || 0)
  }
  return {
    name: 'peer',
    routes: () => [
      {
        method: 'GET',
        path: '/metrics',
        handle: async () => ({
          status: 200,
          type: registry.contentType,
          body: await registry.metrics(),
        }),
      },
    ],
  }
}

const measure = async (
  get: (path: string, headers: Record<string, string>) => Promise<unknown>,
  encoding: string,
  before: (round: number) => void = () => undefined,
  path = '/metrics',
) => {
  const times: number[] = []
  for (let round = -30; round < rounds; round++) {
    before(round)
    const from = performance.now()
    await get(path, { 'accept-encoding': encoding })
    if (round >= 0) times.push(performance.now() - from)
  }
  times.sort((a, b) => a - b)
  const at = (q: number) => times[Math.floor(q * (times.length - 1))] ?? NaN
  return { p50: at(0.5), p99: at(0.99) }
}

const view = viewOf(snapshotOf(fleet()))
const exporter = createPrometheusExporter({
  version: '0',
  collectSamples: samplesOf,
  now: () => now,
})
const ours = await serve(view, exporter)
const { body } = await ours.get('/metrics')
const pages = await serve(view, createPageExporter({ version: '0', now: () => now }))
const peer = await serve(view, createPeer(body))
const lines = body.split('\n').filter(line => line !== '' && !line.startsWith('#')).length
console.log(
  `${builders} builders, ${lines} series, ${(body.length / 1e6).toFixed(2)} MB of text`,
)

const churn = (round: number) => view.set(measuredAgain(view.read(), round))
const cases = [
  ['prom-client, plain', await measure(peer.get, 'identity')],
  ['ours, nothing new', await measure(ours.get, 'identity')],
  ['ours, all new at once', await measure(ours.get, 'identity', churn)],
  ['prom-client, gzip', await measure(peer.get, 'gzip')],
  ['ours, gzip, nothing new', await measure(ours.get, 'gzip')],
  ['the page, plain', await measure(pages.get, 'identity', undefined, '/')],
  ['the page, gzip', await measure(pages.get, 'gzip', undefined, '/')],
] as const
const base = cases[0][1]
for (const [name, { p50, p99 }] of cases)
  console.log(
    `${name.padEnd(26)} p50 ${p50.toFixed(1).padStart(6)} ms  p99 ${p99.toFixed(1).padStart(6)} ms  ratio of p50 ${(p50 / base.p50).toFixed(2)}`,
  )
await ours.close()
await pages.close()
await peer.close()
