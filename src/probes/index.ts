import type { Probe, ProbeName, TelemetryProbe } from '../model.ts'
import { diskProbe } from './disk.ts'
import { memoryProbe } from './memory.ts'
import { systemProbe } from './system.ts'
import { trustProbe } from './trust.ts'

/** What is asked over each fresh login, in a channel of its own. */
export const loginProbes: readonly Probe<'trust'>[] = [trustProbe]

/** What goes out as one batched command. system stands first: disk is judged by the min-free that it tells. */
export const telemetryProbes: readonly TelemetryProbe<ProbeName>[] = [
  systemProbe,
  diskProbe,
  memoryProbe,
] as readonly TelemetryProbe<ProbeName>[]
