import type { Result, Sample, Snapshot, View } from '../../model.ts'
import { valueOf, type SamplesOf } from './builder-samples.ts'
import { createBuilderText } from './builder-text.ts'
import type { Exporter, Route } from '../exporter.ts'
import {
  contentTypes,
  endOf,
  formatFor,
  headerOf,
  lineOf,
  type Format,
} from './exposition.ts'
import { byFamily, textsOf } from './family-text.ts'
import { families } from './families.ts'
import { readFleet } from './fleet-samples.ts'
import { createInstruments, type InstrumentLine } from './instruments.ts'

export interface PrometheusOptions {
  /** Our own version. */
  readonly version: string
  /** Joins the probes' `samples`: rooms do not know each other. */
  readonly samplesOf: SamplesOf
  /** Unix seconds. */
  readonly now?: () => number
  /** What other exporters count. */
  readonly counted?: () => readonly Sample[]
}

export interface PrometheusExporter extends Exporter {
  /** Notes how late a job of the schedule began. */
  observeLateness(job: string, seconds: number): void
}

/** GET /metrics, for Prometheus and whoever reads OpenMetrics. */
export const createPrometheusExporter = (
  options: PrometheusOptions,
): PrometheusExporter => {
  const { version, samplesOf, now = () => Date.now() / 1000, counted } = options
  const instruments = createInstruments()
  const builderText = createBuilderText(samplesOf)

  const write = ({ builders, monitor }: Snapshot) =>
    builderText(builders.values(), { now: now(), intervals: monitor.intervals })

  const render = async (snapshot: Snapshot, format: Format): Promise<string> => {
    const builders = write(snapshot)
    const fleet = byFamily(
      textsOf([...readFleet(snapshot, version, now()), ...(counted?.() ?? [])]),
    )
    const own = await instruments.collect()
    const body = families.map((family, place) => {
      const lines = [
        fleet[place] ?? '',
        ...builders.map(text => text[place] ?? ''),
        ...(own.get(family.name) ?? []).map(line => instrumentLine(line, format)),
      ].join('')
      return lines === '' ? '' : headerOf(family, format) + lines
    })
    return [...body, endOf(format)].join('')
  }

  let scrapedAt = -Infinity
  return {
    name: 'prometheus',
    observeLateness: (_job, seconds) => instruments.observeLateness(seconds),
    routes: (view: View): readonly Route[] => [
      {
        method: 'GET',
        path: '/metrics',
        handle: async ({ headers }) => {
          const format = formatFor(headers.accept)
          scrapedAt = now()
          return {
            status: 200,
            type: contentTypes[format],
            body: await render(view.read(), format),
          }
        },
      },
    ],
    start: view => {
      const stops = [
        followCanaries(view, instruments.observeWait),
        writeAhead(view, () => {
          if (now() - scrapedAt < listenerSeconds) write(view.read())
        }),
      ]
      return () => stops.forEach(stop => stop())
    },
  }
}

/** OpenMetrics wants bounds as numbers with a point; in the older format that would rename the series. */
const instrumentLine = ({ name, le, value }: InstrumentLine, format: Format): string => {
  if (le === null) return lineOf(name, {}, value)
  const text = le === Infinity ? '+Inf' : String(le)
  const isWhole = format === 'openmetrics' && Number.isInteger(le)
  return lineOf(name, { le: isWhole ? `${text}.0` : text }, value)
}

/** Who has not scraped for this long is gone, and nothing is written for nobody. */
const listenerSeconds = 300
const aheadMs = 1000

/** Does the work of a scrape bit by bit as results come, so that a scrape finds it done. */
const writeAhead = (view: View, work: () => void): (() => void) => {
  let timer: NodeJS.Timeout | null = null
  const unsubscribe = view.subscribe(() => {
    timer ??= setTimeout(() => {
      timer = null
      work()
    }, aheadMs).unref()
  })
  return () => {
    unsubscribe()
    if (timer) clearTimeout(timer)
  }
}

/** Tells the connect time of each canary build once. */
const followCanaries = (view: View, observe: (seconds: number) => void): (() => void) => {
  const seen = new WeakSet<Result>()
  const look = ({ builders }: Snapshot) => {
    for (const { probes } of builders.values()) {
      const result = probes.canary?.last
      if (!result || seen.has(result)) continue
      seen.add(result)
      for (const { phases } of valueOf(result)?.runs ?? [])
        if (phases.connect !== undefined && phases.connect >= 0) observe(phases.connect)
    }
  }
  look(view.read())
  return view.subscribe(look)
}
