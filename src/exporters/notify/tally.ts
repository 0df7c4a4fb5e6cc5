import type { Sample } from '../../model.ts'
import type { FamilyName } from '../metrics/families.ts'

/** Counts what came of notifications, by receiver. One notification is one alert told to one receiver. */
export interface Tally {
  /** From now on it has its series, at 0. */
  know(receiver: string): void
  /** Its series end with it. */
  forget(receiver: string): void
  taken(receiver: string, count: number): void
  givenUp(receiver: string, count: number): void
  /** A request that failed, whatever becomes of what it carried. */
  failed(receiver: string): void
  waiting(receiver: string, count: number): void
  samples(): readonly Sample[]
}

const familyOf = {
  taken: 'builder_monitor_notifications_total',
  givenUp: 'builder_monitor_notifications_failed_total',
  failed: 'builder_monitor_notification_errors_total',
  waiting: 'builder_monitor_notifications_waiting',
} as const satisfies Record<string, FamilyName>
type Counted = keyof typeof familyOf

export const createTally = (): Tally => {
  const counts = new Map<string, Record<Counted, number>>()
  const of = (receiver: string) => {
    const known = counts.get(receiver) ?? { taken: 0, givenUp: 0, failed: 0, waiting: 0 }
    counts.set(receiver, known)
    return known
  }
  return {
    know: receiver => void of(receiver),
    forget: receiver => void counts.delete(receiver),
    taken: (receiver, count) => void (of(receiver).taken += count),
    givenUp: (receiver, count) => void (of(receiver).givenUp += count),
    failed: receiver => void (of(receiver).failed += 1),
    waiting: (receiver, count) => void (of(receiver).waiting = count),
    samples: () =>
      [...counts].flatMap(([receiver, count]) =>
        (Object.keys(familyOf) as Counted[]).map(counted => ({
          family: familyOf[counted],
          labels: { receiver },
          value: count[counted],
        })),
      ),
  }
}
