import type { ProbeName, Result } from '../model/index.ts'

/** What decides whether a result is fresh. */
export interface FreshnessContext {
  /** Unix seconds. */
  readonly now: number
  /** Interval of each probe in seconds. */
  readonly intervals: Readonly<Record<ProbeName, number>>
}

/** Returns the Unix time until which a result is fresh: three intervals of its probe. */
export const freshUntil = (
  { probe, at }: Result,
  intervals: FreshnessContext['intervals'],
): number => at + 3 * intervals[probe]

/** Returns the value of a result, also of a failed one that has a partial value; null without one. */
export const resultValue = <T>(result: Result<T> | null | undefined): T | null =>
  result && 'value' in result.outcome ? (result.outcome.value ?? null) : null
