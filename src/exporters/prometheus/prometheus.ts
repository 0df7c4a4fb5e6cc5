import type { Result, Sample, Snapshot, View } from '../../model/index.ts'
import { resultValue } from '../../diagnosis/freshness.ts'
import type { CollectSamples } from './builder-samples.ts'
import { createBuilderLines } from './builder-lines.ts'
import type { Exporter } from '../exporter.ts'
import type { Route } from '../http/route.ts'
import {
  contentTypes,
  formatEnd,
  negotiateFormat,
  formatHeader,
  formatLine,
  type Format,
} from './exposition.ts'
import { indexByFamily, renderSamples } from './family-lines.ts'
import { families } from './families.ts'
import { collectFleetSamples } from './fleet-samples.ts'
import { createInstruments, type InstrumentLine } from './instruments.ts'

export interface PrometheusOptions {
  /** Version of builder-monitor. */
  readonly version: string
  readonly collectSamples: CollectSamples
  /** Unix seconds. */
  readonly now?: () => number
  /** Samples from other components, for example alert delivery. */
  readonly extraSamples?: () => readonly Sample[]
}

export interface PrometheusExporter extends Exporter {
  /** Records how late a scheduled job started. */
  observeScheduleDelay(job: string, seconds: number): void
}

/** Serves GET /metrics as Prometheus text or OpenMetrics. */
export const createPrometheusExporter = (
  options: PrometheusOptions,
): PrometheusExporter => {
  const { version, collectSamples, now = () => Date.now() / 1000, extraSamples } = options
  const instruments = createInstruments()
  const builderLines = createBuilderLines(collectSamples)

  const renderBuilders = ({ builders, monitor }: Snapshot) =>
    builderLines(builders.values(), { now: now(), intervals: monitor.intervals })

  const render = async (snapshot: Snapshot, format: Format): Promise<string> => {
    const builders = renderBuilders(snapshot)
    const fleet = indexByFamily(
      renderSamples([
        ...collectFleetSamples(snapshot, version, now()),
        ...(extraSamples?.() ?? []),
      ]),
    )
    const processMetrics = await instruments.collect()
    const body = families.map((family, familyIndex) => {
      const lines = [
        fleet[familyIndex] ?? '',
        ...builders.map(text => text[familyIndex] ?? ''),
        ...(processMetrics.get(family.name) ?? []).map(line =>
          instrumentLine(line, format),
        ),
      ].join('')
      return lines === '' ? '' : formatHeader(family, format) + lines
    })
    return [...body, formatEnd(format)].join('')
  }

  let scrapedAt = -Infinity
  return {
    name: 'prometheus',
    observeScheduleDelay: (_job, seconds) => instruments.observeScheduleDelay(seconds),
    routes: (view: View): readonly Route[] => [
      {
        method: 'GET',
        path: '/metrics',
        handle: async ({ headers }) => {
          const format = negotiateFormat(headers.accept)
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
        observeCanaries(view, instruments.observeConnect),
        prerender(view, () => {
          if (now() - scrapedAt < scraperTimeoutSeconds) renderBuilders(view.read())
        }),
      ]
      return () => stops.forEach(stop => stop())
    },
  }
}

/** OpenMetrics requires bucket bounds with a decimal point; in Prometheus text that would rename the series. */
const instrumentLine = ({ name, le, value }: InstrumentLine, format: Format): string => {
  if (le === null) return formatLine(name, {}, value)
  const text = le === Infinity ? '+Inf' : String(le)
  const isWhole = format === 'openmetrics' && Number.isInteger(le)
  return formatLine(name, { le: isWhole ? `${text}.0` : text }, value)
}

/** Prerendering stops after this time without a scrape. */
const scraperTimeoutSeconds = 300
const prerenderDelayMs = 1000

/** Renders results as they arrive, so that a scrape finds cached lines. */
const prerender = (view: View, work: () => void): (() => void) => {
  let timer: NodeJS.Timeout | null = null
  const unsubscribe = view.subscribe(() => {
    timer ??= setTimeout(() => {
      timer = null
      work()
    }, prerenderDelayMs).unref()
  })
  return () => {
    unsubscribe()
    if (timer) clearTimeout(timer)
  }
}

/** Observes the connect time of each canary build once. */
const observeCanaries = (
  view: View,
  observe: (seconds: number) => void,
): (() => void) => {
  const observed = new WeakSet<Result>()
  const observeNew = ({ builders }: Snapshot, names: Iterable<string>) => {
    for (const name of names) {
      const result = builders.get(name)?.probes.canary?.last
      if (!result || observed.has(result)) continue
      observed.add(result)
      for (const { phases } of resultValue(result)?.runs ?? [])
        if (phases.connect !== undefined && phases.connect >= 0) observe(phases.connect)
    }
  }
  const snapshot = view.read()
  observeNew(snapshot, snapshot.builders.keys())
  return view.subscribe((next, change) => observeNew(next, change.builders))
}
