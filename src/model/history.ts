import type { Kind } from './kind.ts'
import type { Outcome, ProbeName, Result } from './outcomes.ts'
import type { ProbeValues } from './values.ts'

/** Counters and recent results of one probe of one builder. */
export interface ProbeRecord<T = unknown> {
  readonly last: Result<T>
  /** The newest ok, degraded or failed attempt. busy and skipped attempts decide nothing. */
  readonly conclusive: Result<T> | null
  /** The newest ok or degraded attempt. Its value is the newest measurement. */
  readonly lastSuccess: Result<T> | null
  /** Attempts so far, without busy and skipped ones. */
  readonly attempts: number
  readonly failures: number
  /** Consecutive conclusive attempts with the same result, the newest included. `since`: time of the first one. */
  readonly streak: {
    readonly ok: boolean
    readonly count: number
    readonly since: number
  }
}

export type ProbeRecords = { readonly [P in ProbeName]?: ProbeRecord<ProbeValues[P]> }

/** An attempt in the history: its status without its value. */
export interface HistoryEntry {
  readonly status: Outcome['status']
  readonly kind: Kind | null
  /** Unix seconds. */
  readonly at: number
  readonly durationSeconds: number
  /** Values shown as sparklines, from the probe's `trends`. */
  readonly trends: Trends
}

/** Free bytes of the store and of memory, seconds stalled on memory since boot, load average of the last minute, rates of the link. */
export type TrendName =
  | 'storeFreeBytes'
  | 'memoryFreeBytes'
  | 'memoryStallSeconds'
  | 'load'
  | 'uploadBytesPerSecond'
  | 'downloadBytesPerSecond'
export type Trends = Readonly<Partial<Record<TrendName, number | null>>>

/** The most recent attempts of each probe, newest last. Bounded. */
export type History = { readonly [P in ProbeName]?: readonly HistoryEntry[] }

/** The steps of one attempt, as text for people. */
export interface AttemptTrace {
  /** End of the attempt, Unix seconds. */
  readonly at: number
  readonly status: Outcome['status']
  readonly kind: Kind | null
  /** Lines `+12 ms step: detail`, further lines of a detail indented. Sanitized and bounded. */
  readonly lines: string
}

/** The newest attempt of a probe and the newest failed one. The same object when the newest one failed. */
export interface ProbeTraces {
  readonly last: AttemptTrace
  readonly lastFailed: AttemptTrace | null
}

export type BuilderTraces = Readonly<Partial<Record<ProbeName, ProbeTraces>>>
