import type { AlertsState, View } from '../../model/index.ts'
import { startDeliveryWorker, describeResult, type DeliveryRequest } from './worker.ts'
import { manageReceivers, type Persistence } from './manage-receivers.ts'
import { isDelivered, readSecret, type PostResult } from './post.ts'
import { labelReceivers, type ReceiverConfig, type WebhookSettings } from './receivers.ts'
import type { DeliveryOptions } from './delivery-options.ts'
import { renderWebhookPayload } from './webhook-payload.ts'
import { createWebhookQueue, type Batch } from './webhook-queue.ts'

/**
 * Sends each alert that starts firing or resolves to each configured webhook, in order and once, in the payload format
 * of Alertmanager's webhooks. Repeats firing alerts every `repeatHours`. Runs until the returned function is called.
 */
export const startWebhooks = (view: View, options: DeliveryOptions): (() => void) =>
  manageReceivers({
    view,
    metrics: options.metrics,
    persistedState: options.persistedState('webhooks'),
    configured: () => labelReceivers(options.receivers()).webhooks,
    create: (config, persisted, persistence) =>
      createReceiver(config, persisted, persistence, options),
  })

const createReceiver = (
  { label, settings }: ReceiverConfig<WebhookSettings>,
  persisted: unknown,
  persistence: Persistence,
  options: DeliveryOptions,
) => {
  const { metrics, clock, log } = options
  const queue = createWebhookQueue(settings.repeatHours, persisted)
  const now = () => clock.now() / 1000
  let externalUrl = ''

  const handleResponse = async (batch: Batch, result: PostResult) => {
    const { status } = result
    const delivered = isDelivered(result)
    const isRejected =
      status !== null && status >= 400 && status < 500 && status !== 408 && status !== 429
    if (!delivered && !isRejected) return 'retry'
    const count = batch.changed.length + batch.stillFiring.length
    if (delivered) metrics.delivered(label, count)
    else {
      // Alerts that are still firing are resent with the next repetition
      metrics.dropped(label, batch.changed.length || 1)
      log.warn(
        { receiver: label, alert: batch.alertname, reason: describeResult(result) },
        'notification rejected by the receiver and dropped',
      )
    }
    queue.recordResult(batch, isRejected, now())
    metrics.queued(label, queue.length())
    persistence.schedule()
    // Without this, a restart would send the same alerts again
    await persistence.flush()
    return delivered ? 'delivered' : 'rejected'
  }
  const nextRequest = async (): Promise<DeliveryRequest | null> => {
    const batch = queue.next(now())
    if (!batch) return null
    // Save the alerts before sending: after a crash they must be known as sent, not as new
    await persistence.flush()
    return {
      url: await webhookUrl(settings),
      body: renderWebhookPayload({
        receiver: label,
        alertname: batch.alertname,
        externalUrl,
        alerts: [...batch.changed, ...batch.stillFiring],
        truncated: batch.truncated,
      }),
      handleResponse: result => handleResponse(batch, result),
    }
  }
  const worker = startDeliveryWorker({ label, access: settings, nextRequest }, options)
  return {
    update: (state: AlertsState) => {
      externalUrl = state.externalUrl
      const dropped = queue.update(state.list, now())
      if (dropped > 0) {
        metrics.dropped(label, dropped)
        log.warn(
          { receiver: label, dropped },
          'notification queue full, notifications dropped',
        )
      }
      metrics.queued(label, queue.length())
      worker.wake()
    },
    serialize: () => queue.serialize(),
    stop: worker.stop,
  }
}

/** Returns `url`, or the current content of `urlFile`. Rejects with a message that does not contain the secret. */
export const webhookUrl = async ({
  url: inlineUrl,
  urlFile: file = '',
}: WebhookSettings): Promise<string> => {
  if (inlineUrl !== undefined) return inlineUrl
  const text = (await readSecret(file)).trim()
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol))
    throw new Error(`${file} does not contain an http or https URL`)
  return text
}
