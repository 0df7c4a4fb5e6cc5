import type { Sample } from '../../model/index.ts'
import type { FamilyName } from '../../exporters/prometheus/families.ts'

/** Counts what came of notifications, by receiver. One notification is one alert told to one receiver. */
export interface DeliveryMetrics {
  /** From now on it has its series, at 0. */
  addReceiver(receiver: string): void
  /** Its series end with it. */
  removeReceiver(receiver: string): void
  delivered(receiver: string, count: number): void
  dropped(receiver: string, count: number): void
  /** A request that failed, whatever becomes of what it carried. */
  failed(receiver: string): void
  queued(receiver: string, count: number): void
  samples(): readonly Sample[]
}

const families = {
  delivered: 'builder_monitor_notifications_total',
  dropped: 'builder_monitor_notifications_failed_total',
  failed: 'builder_monitor_notification_errors_total',
  queued: 'builder_monitor_notifications_queue_length',
} as const satisfies Record<string, FamilyName>
type Counter = keyof typeof families

export const createDeliveryMetrics = (): DeliveryMetrics => {
  const counts = new Map<string, Record<Counter, number>>()
  const countsFor = (receiver: string) => {
    const known = counts.get(receiver) ?? {
      delivered: 0,
      dropped: 0,
      failed: 0,
      queued: 0,
    }
    counts.set(receiver, known)
    return known
  }
  return {
    addReceiver: receiver => void countsFor(receiver),
    removeReceiver: receiver => void counts.delete(receiver),
    delivered: (receiver, count) => void (countsFor(receiver).delivered += count),
    dropped: (receiver, count) => void (countsFor(receiver).dropped += count),
    failed: receiver => void (countsFor(receiver).failed += 1),
    queued: (receiver, count) => void (countsFor(receiver).queued = count),
    samples: () =>
      [...counts].flatMap(([receiver, count]) =>
        (Object.keys(families) as Counter[]).map(counter => ({
          family: families[counter],
          labels: { receiver },
          value: count[counter],
        })),
      ),
  }
}
