import type {
  Builder,
  Trends,
  Probe,
  ProbeName,
  ProbeValues,
  Result,
  Sample,
  TelemetryProbe,
} from '../model/index.ts'
import { canarySamples } from './canary.ts'
import { directProbe } from './direct.ts'
import { diskProbe } from './disk.ts'
import { locksProbe } from './locks.ts'
import { memoryProbe } from './memory.ts'
import { slotsSamples } from './slots.ts'
import { systemProbe } from './system.ts'
import { trustProbe } from './trust.ts'

/** What is asked over each fresh login, in a channel of its own. */
export const loginProbes: readonly Probe<'trust'>[] = [trustProbe]

/** What goes out as one batched command. system stands first: disk is judged by the min-free that it tells. */
export const telemetryProbes: readonly TelemetryProbe<ProbeName>[] = [
  systemProbe,
  diskProbe,
  memoryProbe,
  locksProbe,
] as readonly TelemetryProbe<ProbeName>[]

type ToSamples = (value: unknown, builder: Builder) => readonly Sample[]

/** Metric samples by probe; what a login measured is the exporter's own business. */
const samplers = {
  trust: trustProbe.samples,
  system: systemProbe.samples,
  disk: diskProbe.samples,
  memory: memoryProbe.samples,
  locks: locksProbe.samples,
  canary: canarySamples,
  direct: directProbe.samples,
  slots: slotsSamples,
} as Readonly<Partial<Record<ProbeName, ToSamples>>>

/** The samples of a result's value, nothing where it has none. */
export const extractSamples = (
  { probe, outcome }: Result,
  builder: Builder,
): readonly Sample[] =>
  'value' in outcome && outcome.value !== undefined
    ? (samplers[probe]?.(outcome.value, builder) ?? [])
    : []

const noTrends: Trends = {}

/** The numbers of a result that are worth following. */
export const extractTrends = ({ probe, outcome }: Result): Trends => {
  const one = telemetryProbes.find(({ name }) => name === probe)
  const value = 'value' in outcome ? outcome.value : undefined
  // The record of a probe holds values of that probe; TypeScript loses that through the list
  return one && value !== undefined && value !== null
    ? (one.trends?.(value as ProbeValues[ProbeName]) ?? noTrends)
    : noTrends
}
