import { maxDrainReason, maxDrainUser, type Drain } from '../model/index.ts'

/** The drains that people asked for, by builder. */
export type DrainList = ReadonlyMap<string, Drain>

/** Returns the drains that have not ended at `now` (Unix seconds). */
export const activeDrains = (drains: DrainList, now: number): DrainList => {
  const active = new Map(
    [...drains].filter(([, { until }]) => until === null || until > now),
  )
  return active.size === drains.size ? drains : active
}

const maxEntries = 10_000

/** Returns the drains as JSON for the state file. */
export const serializeDrains = (drains: DrainList): unknown =>
  [...drains].map(([name, drain]) => ({ name, ...drain }))

/** Parses the output of `serializeDrains`. Invalid entries are dropped. */
export const parseDrains = (persisted: unknown): DrainList =>
  new Map(
    (Array.isArray(persisted) ? persisted.slice(0, maxEntries) : []).flatMap(
      (entry: unknown): [string, Drain][] => {
        const { name, by, reason, since, until } = (entry ?? {}) as Record<
          string,
          unknown
        >
        if (typeof name !== 'string' || typeof by !== 'string') return []
        if (typeof since !== 'number' || !Number.isFinite(since)) return []
        if (until !== null && (typeof until !== 'number' || !Number.isFinite(until)))
          return []
        return [
          [
            name,
            {
              by: by.slice(0, maxDrainUser),
              reason: typeof reason === 'string' ? reason.slice(0, maxDrainReason) : null,
              since,
              until,
            },
          ],
        ]
      },
    ),
  )
