import type { Kind } from './kind.ts'
import type { Outcome, ProbeName, Result } from './outcomes.ts'
import type { ProbeValues } from './values.ts'

/** What is counted and remembered of one probe of one builder. */
export interface ProbeRecord<T = unknown> {
  readonly last: Result<T>
  /** The newest attempt that told something: ok, degraded or failed. busy and skipped only age the proof. */
  readonly conclusive: Result<T> | null
  /** The newest ok or degraded attempt; its value is the newest measurement. */
  readonly lastSuccess: Result<T> | null
  /** busy and skipped attempts do not count. */
  readonly attempts: number
  readonly failures: number
  /** Conclusive attempts of the same luck in a row, the newest included, and the time of the first of them. */
  readonly streak: {
    readonly ok: boolean
    readonly count: number
    readonly since: number
  }
}

export type ProbeRecords = { readonly [P in ProbeName]?: ProbeRecord<ProbeValues[P]> }

/** An attempt as the past keeps it: what came of it, without what it told. */
export interface HistoryEntry {
  readonly status: Outcome['status']
  readonly kind: Kind | null
  /** Unix seconds. */
  readonly at: number
  readonly durationSeconds: number
  /** The numbers of what it told that are worth following, as the probe's `levels` has them. */
  readonly trends: Trends
}

/** Free bytes of the store and of memory, seconds stalled for memory since boot, the load of the last minute. */
export type TrendName =
  'storeFreeBytes' | 'memoryFreeBytes' | 'memoryStallSeconds' | 'load'
export type Trends = Readonly<Partial<Record<TrendName, number | null>>>

/** The newest checks of each probe, newest last; bounded. */
export type History = { readonly [P in ProbeName]?: readonly HistoryEntry[] }

/** The course of one attempt, as text for people. */
export interface AttemptTrace {
  /** Unix seconds at its end. */
  readonly at: number
  readonly status: Outcome['status']
  readonly kind: Kind | null
  /** `+12 ms step: detail`, more lines of a detail indented: clean and bounded. */
  readonly lines: string
}

/** The newest attempt of a probe, and the newest that failed; the same object where it is the newest. */
export interface ProbeTraces {
  readonly last: AttemptTrace
  readonly lastFailed: AttemptTrace | null
}

export type BuilderTraces = Readonly<Partial<Record<ProbeName, ProbeTraces>>>
