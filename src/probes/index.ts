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
import { sessionsProbe } from './sessions.ts'
import { slotsSamples } from './slots.ts'
import { substitutersProbe } from './substituters.ts'
import { systemProbe } from './system.ts'
import { createThroughputProbe } from './throughput.ts'
import { trustProbe } from './trust.ts'

/** Probes that run after each login, each in its own channel. */
export const loginProbes: readonly Probe<'trust'>[] = [trustProbe]

/** Probes that run as one batched command. system is first: disk uses the min-free that it reports. */
export const telemetryProbes: readonly TelemetryProbe<ProbeName>[] = [
  systemProbe,
  diskProbe,
  memoryProbe,
  locksProbe,
  sessionsProbe,
] as readonly TelemetryProbe<ProbeName>[]

/** Telemetry that takes seconds: it runs as a command of its own, less often. */
export const slowTelemetryProbes: readonly TelemetryProbe<ProbeName>[] = [
  substitutersProbe,
] as readonly TelemetryProbe<ProbeName>[]

export const telemetryNames: readonly ProbeName[] = telemetryProbes.map(
  ({ name }) => name,
)

type ToSamples = (value: unknown, builder: Builder) => readonly Sample[]

/** Used only for its samples and trends. */
const throughputProbe = createThroughputProbe({ minBytesPerSecond: () => 0 })

/** Sample extractors by probe; the exporter itself handles logins. */
const samplers = {
  trust: trustProbe.samples,
  system: systemProbe.samples,
  disk: diskProbe.samples,
  memory: memoryProbe.samples,
  locks: locksProbe.samples,
  sessions: sessionsProbe.samples,
  substituters: substitutersProbe.samples,
  throughput: throughputProbe.samples,
  canary: canarySamples,
  direct: directProbe.samples,
  slots: slotsSamples,
} as Readonly<Partial<Record<ProbeName, ToSamples>>>

/** Returns the samples of a result; none if it has no value. */
export const extractSamples = (
  { probe, outcome }: Result,
  builder: Builder,
): readonly Sample[] =>
  'value' in outcome && outcome.value !== undefined
    ? (samplers[probe]?.(outcome.value, builder) ?? [])
    : []

const noTrends: Trends = {}

/** Returns the numbers of a result that sparklines show. */
export const extractTrends = ({ probe, outcome }: Result): Trends => {
  const measuringProbe = [...telemetryProbes, throughputProbe].find(
    ({ name }) => name === probe,
  ) as Pick<TelemetryProbe<ProbeName>, 'trends'> | undefined
  const value = 'value' in outcome ? outcome.value : undefined
  // A result of a probe has a value of that probe; TypeScript loses this relation in the list
  return measuringProbe && value !== undefined && value !== null
    ? (measuringProbe.trends?.(value as ProbeValues[ProbeName]) ?? noTrends)
    : noTrends
}
