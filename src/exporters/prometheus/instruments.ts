/** Adapter for prom-client: histograms and process metrics. */
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client'
import { families, type FamilyName } from './families.ts'

export interface Instruments {
  observeConnect(seconds: number): void
  observeScheduleDelay(seconds: number): void
  /** Returns the current values by family. */
  collect(): Promise<ReadonlyMap<string, readonly InstrumentLine[]>>
}

export interface InstrumentLine {
  /** Ends with `_bucket`, `_sum` or `_count` for a histogram. */
  readonly name: string
  /** Upper bound of a bucket, else null. */
  readonly le: number | null
  readonly value: number
}

/** Creates a registry with its metrics. Create one per exporter. */
export const createInstruments = (): Instruments => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 50 })
  // Remove metrics that are not useful or fail promtool's checks (gauges that end in _total)
  const exported = new Set<string>(
    families.filter(({ group }) => group === 'process').map(({ name }) => name),
  )
  for (const { name } of registry.getMetricsAsArray())
    if (!exported.has(name)) registry.removeSingleMetric(name)
  const connect = histogram(
    registry,
    'nix_client_wait_seconds',
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  )
  const scheduleDelay = histogram(
    registry,
    'builder_monitor_schedule_delay_seconds',
    [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
  )
  return {
    observeConnect: seconds => connect.observe(seconds),
    observeScheduleDelay: seconds => scheduleDelay.observe(seconds),
    collect: async () =>
      new Map(
        (await registry.getMetricsAsJSON()).map(({ name, values }) => [
          name,
          values.map(({ value, labels, ...rest }) => ({
            name: metricName(rest) ?? name,
            le: labels['le'] === undefined ? null : Number(parseBound(labels['le'])),
            value,
          })),
        ]),
      ),
  }
}

const histogram = (registry: Registry, name: FamilyName, buckets: number[]): Histogram =>
  new Histogram({
    name,
    help: families.find(family => family.name === name)!.help,
    buckets,
    registers: [registry],
  })

/** prom-client's types omit `metricName` of histogram lines. */
const metricName = (rest: object): string | undefined =>
  (rest as { readonly metricName?: string }).metricName

const parseBound = (le: string | number): string | number =>
  le === '+Inf' ? Infinity : le
