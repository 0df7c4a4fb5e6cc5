import type { BuilderState, Result, Sample, Snapshot, View } from '../model.ts'
import { readBuilder, valueOf, type Moment, type SamplesOf } from './builder-samples.ts'
import type { Exporter, Route } from './exporter.ts'
import {
  contentTypes,
  endOf,
  formatFor,
  headerOf,
  lineOf,
  type Format,
} from './exposition.ts'
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
}

export interface PrometheusExporter extends Exporter {
  /** Notes how late a job of the schedule began. */
  observeLateness(job: string, seconds: number): void
}

/** GET /metrics, for Prometheus and whoever reads OpenMetrics. */
export const createPrometheusExporter = (
  options: PrometheusOptions,
): PrometheusExporter => {
  const { version, samplesOf, now = () => Date.now() / 1000 } = options
  const instruments = createInstruments()
  const builderText = createBuilderText(samplesOf)

  const render = async (snapshot: Snapshot, format: Format): Promise<string> => {
    const moment = { now: now(), intervals: snapshot.monitor.intervals }
    const builders = [...snapshot.builders.values()].map(state =>
      builderText(state, moment),
    )
    const fleet = linesByFamily(readFleet(snapshot, version, moment.now))
    const own = await instruments.collect()
    let body = ''
    families.forEach((family, index) => {
      let lines = fleet[index] ?? ''
      for (const texts of builders) lines += texts[index] ?? ''
      for (const line of own.get(family.name) ?? []) lines += instrumentLine(line, format)
      if (lines !== '') body += headerOf(family, format) + lines
    })
    return body + endOf(format)
  }

  return {
    name: 'prometheus',
    observeLateness: (_job, seconds) => instruments.observeLateness(seconds),
    routes: (view: View): readonly Route[] => [
      {
        method: 'GET',
        path: '/metrics',
        handle: async ({ headers }) => {
          const format = formatFor(headers.accept)
          return {
            status: 200,
            type: contentTypes[format],
            body: await render(view.read(), format),
          }
        },
      },
    ],
    start: view => followCanaries(view, instruments.observeWait),
  }
}

const indexOf: ReadonlyMap<string, number> = new Map(
  families.map(({ name }, index) => [name, index]),
)

/** Text of samples, at the place of their family; a sample of no family of ours is left out. */
const linesByFamily = (samples: readonly Sample[]): readonly string[] => {
  const texts = new Array<string>(families.length).fill('')
  for (const { family, labels, value } of samples) {
    const index = indexOf.get(family)
    if (index !== undefined) texts[index] += lineOf(family, labels, value)
  }
  return texts
}

/** A state never changes, so its text holds until a measurement in it becomes too old. */
const createBuilderText = (samplesOf: SamplesOf) => {
  const known = new WeakMap<
    BuilderState,
    {
      readonly texts: readonly string[]
      readonly intervals: Moment['intervals']
      readonly from: number
      readonly until: number
    }
  >()
  return (state: BuilderState, moment: Moment): readonly string[] => {
    const before = known.get(state)
    if (
      before &&
      before.intervals === moment.intervals &&
      moment.now >= before.from &&
      moment.now <= before.until
    )
      return before.texts
    const { samples, validUntil } = readBuilder(state, moment, samplesOf)
    const texts = linesByFamily(samples)
    known.set(state, {
      texts,
      intervals: moment.intervals,
      from: moment.now,
      until: validUntil,
    })
    return texts
  }
}

/** OpenMetrics wants bounds as numbers with a point; in the older format that would rename the series. */
const instrumentLine = ({ name, le, value }: InstrumentLine, format: Format): string => {
  if (le === null) return lineOf(name, {}, value)
  const text = le === Infinity ? '+Inf' : String(le)
  const isWhole = format === 'openmetrics' && Number.isInteger(le)
  return lineOf(name, { le: isWhole ? `${text}.0` : text }, value)
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
