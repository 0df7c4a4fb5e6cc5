import type { Sample } from '../../model/index.ts'

/** Counts notifications by receiver. One notification is one alert sent to one receiver. */
export interface DeliveryMetrics {
  /** Adds the series of the receiver, at 0. */
  addReceiver(receiver: string): void
  /** Removes its series. */
  removeReceiver(receiver: string): void
  delivered(receiver: string, count: number): void
  dropped(receiver: string, count: number): void
  /** Counts a failed request, whether or not its notifications are retried. */
  failed(receiver: string): void
  queued(receiver: string, count: number): void
  samples(): readonly Sample[]
}

const families = {
  delivered: 'builder_monitor_notifications_total',
  dropped: 'builder_monitor_notifications_failed_total',
  failed: 'builder_monitor_notification_errors_total',
  queued: 'builder_monitor_notifications_queue_length',
} as const
type Counter = keyof typeof families

export const createDeliveryMetrics = (): DeliveryMetrics => {
  const counts = new Map<string, Record<Counter, number>>()
  const countsFor = (receiver: string) => {
    const known = counts.get(receiver)
    if (known) return known
    const added = { delivered: 0, dropped: 0, failed: 0, queued: 0 }
    counts.set(receiver, added)
    return added
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
