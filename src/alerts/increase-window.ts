import type { Sample } from '../model/index.ts'
import type { LabeledValue } from './sample-set.ts'

const hourSeconds = 3600

interface CounterHistory {
  readonly labels: Sample['labels']
  /** Unix seconds and value at each change, oldest first; the first may be older than an hour. */
  readonly changes: readonly (readonly [at: number, value: number])[]
  /** Unix time of the newest sample. */
  readonly observedAt: number
}

export interface IncreaseWindow {
  /** Records the samples of one evaluation. */
  observe(samples: readonly Sample[], now: number): void
  increase(family: string, now: number): readonly LabeledValue[]
  /** Returns its state as JSON for `createIncreaseWindow`. */
  serialize(): unknown
}

/** Computes `increase(X[1h])` of some counters, with counter resets. Stores only changes, so it stays small. */
export const createIncreaseWindow = (
  families: readonly string[],
  persisted?: unknown,
): IncreaseWindow => {
  const counters = new Map<string, Map<string, CounterHistory>>(
    families.map(family => [
      family,
      restore((persisted as PersistedWindow | undefined)?.[family]),
    ]),
  )
  return {
    observe: (samples, now) => {
      for (const { family, labels, value } of samples) {
        const known = counters.get(family)
        if (!known) continue
        const key = JSON.stringify(labels)
        const changes = known.get(key)?.changes ?? []
        known.set(key, {
          labels,
          observedAt: now,
          changes:
            changes.at(-1)?.[1] === value
              ? changes
              : [...withinHour(changes, now), [now, value]],
        })
      }
      for (const known of counters.values())
        for (const [key, { observedAt }] of known)
          if (now - observedAt > hourSeconds) known.delete(key)
    },
    increase: (family, now) =>
      [...(counters.get(family)?.values() ?? [])].map(({ labels, changes }) => ({
        labels,
        value: sumIncreases(withinHour(changes, now)),
      })),
    serialize: () =>
      Object.fromEntries(
        [...counters].map(([family, known]) => [family, [...known.values()]]),
      ),
  }
}

type PersistedWindow = Readonly<Record<string, unknown>>

/** Returns the changes of the last hour and the one before them, as the base. */
const withinHour = (
  changes: CounterHistory['changes'],
  now: number,
): CounterHistory['changes'] => {
  const first = changes.findIndex(([at]) => at > now - hourSeconds)
  return first === -1 ? changes.slice(-1) : changes.slice(Math.max(0, first - 1))
}

/** A counter that decreased was reset to 0. */
const sumIncreases = (changes: CounterHistory['changes']): number =>
  changes.reduce((sum, [, value], i) => {
    const before = changes[i - 1]?.[1]
    if (before === undefined) return sum
    return sum + (value >= before ? value - before : value)
  }, 0)

const restore = (persisted: unknown): Map<string, CounterHistory> => {
  const known = new Map<string, CounterHistory>()
  for (const one of Array.isArray(persisted) ? (persisted as unknown[]) : []) {
    const { labels, changes, observedAt } = (one ?? {}) as Partial<CounterHistory>
    if (typeof observedAt !== 'number' || !Array.isArray(changes)) continue
    if (typeof labels !== 'object' || labels === null) continue
    const isPair = (pair: unknown) =>
      Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite)
    if (changes.length === 0 || !changes.every(isPair)) continue
    known.set(JSON.stringify(labels), {
      labels,
      changes: changes.slice(-1000),
      observedAt,
    })
  }
  return known
}
