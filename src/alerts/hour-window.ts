import type { Sample } from '../model.ts'
import type { Labelled } from './series.ts'

const hour = 3600

interface Course {
  readonly labels: Sample['labels']
  /** Unix seconds and value at each change, the oldest first; the first may be older than an hour. */
  readonly changes: readonly (readonly [at: number, value: number])[]
  /** Unix seconds of the newest sample. */
  readonly seenAt: number
}

export interface HourWindow {
  /** To be called with the samples of each moment. */
  observe(samples: readonly Sample[], now: number): void
  increase(family: string, now: number): readonly Labelled[]
  /** As JSON, for `recallWindow`. */
  remember(): unknown
}

/** `increase(X[1h])` of a few counters, restarts of the counter included. Only changes are kept, so it stays small. */
export const createHourWindow = (
  families: readonly string[],
  kept?: unknown,
): HourWindow => {
  const courses = new Map<string, Map<string, Course>>(
    families.map(family => [family, recall((kept as Kept | undefined)?.[family])]),
  )
  return {
    observe: (samples, now) => {
      for (const { family, labels, value } of samples) {
        const known = courses.get(family)
        if (!known) continue
        const key = JSON.stringify(labels)
        const changes = known.get(key)?.changes ?? []
        known.set(key, {
          labels,
          seenAt: now,
          changes:
            changes.at(-1)?.[1] === value
              ? changes
              : [...withinHour(changes, now), [now, value]],
        })
      }
      for (const known of courses.values())
        for (const [key, { seenAt }] of known) if (now - seenAt > hour) known.delete(key)
    },
    increase: (family, now) =>
      [...(courses.get(family)?.values() ?? [])].map(({ labels, changes }) => ({
        labels,
        value: riseOf(withinHour(changes, now)),
      })),
    remember: () =>
      Object.fromEntries(
        [...courses].map(([family, known]) => [family, [...known.values()]]),
      ),
  }
}

type Kept = Readonly<Record<string, unknown>>

/** The changes of the last hour, and the one before them: from there it rose. */
const withinHour = (changes: Course['changes'], now: number): Course['changes'] => {
  const first = changes.findIndex(([at]) => at > now - hour)
  return first === -1 ? changes.slice(-1) : changes.slice(Math.max(0, first - 1))
}

/** A counter that fell has begun at 0 again. */
const riseOf = (changes: Course['changes']): number =>
  changes.reduce((sum, [, value], i) => {
    const before = changes[i - 1]?.[1]
    if (before === undefined) return sum
    return sum + (value >= before ? value - before : value)
  }, 0)

const recall = (kept: unknown): Map<string, Course> => {
  const known = new Map<string, Course>()
  for (const one of Array.isArray(kept) ? (kept as unknown[]) : []) {
    const { labels, changes, seenAt } = (one ?? {}) as Partial<Course>
    if (typeof seenAt !== 'number' || !Array.isArray(changes)) continue
    if (typeof labels !== 'object' || labels === null) continue
    const isPair = (pair: unknown) =>
      Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite)
    if (changes.length === 0 || !changes.every(isPair)) continue
    known.set(JSON.stringify(labels), { labels, changes: changes.slice(-1000), seenAt })
  }
  return known
}
