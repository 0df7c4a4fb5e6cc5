import type { Sample, View } from '../../model/index.ts'
import { startAlertmanagers } from './alertmanager.ts'
import { createDeliveryMetrics } from './delivery-metrics.ts'
import type { DeliveryOptions } from './delivery-options.ts'
import { startWebhooks } from './webhook.ts'

/** Sends the alerts of the snapshot to the configured Alertmanagers and webhooks. */
export interface AlertDelivery {
  /** Delivers until the returned function is called. */
  start(view: View): () => void
  /** Samples of the `builder_monitor_notifications*` families. */
  samples(): readonly Sample[]
}

export const createAlertDelivery = (
  options: Omit<DeliveryOptions, 'metrics'>,
): AlertDelivery => {
  const metrics = createDeliveryMetrics()
  return {
    start: view => {
      const stops = [
        startAlertmanagers(view, { ...options, metrics }),
        startWebhooks(view, { ...options, metrics }),
      ]
      return () => stops.forEach(stop => stop())
    },
    samples: metrics.samples,
  }
}
