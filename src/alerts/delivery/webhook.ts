import type { AlertsState, View } from '../../model/index.ts'
import { startDeliveryWorker, describeResult, type DeliveryRequest } from './worker.ts'
import type { Exporter } from '../../exporters/exporter.ts'
import { manageReceivers, type Persistence } from './manage-receivers.ts'
import { isDelivered, readSecret, type PostResult } from './post.ts'
import { labelReceivers, type ReceiverConfig, type WebhookSettings } from './receivers.ts'
import type { DeliveryOptions } from './delivery-options.ts'
import { renderWebhookPayload } from './webhook-payload.ts'
import { createWebhookQueue, type Batch } from './webhook-queue.ts'

/**
 * Tells each configured webhook what begins to fire and what is over, in order and once, in the payload of
 * Alertmanager's own webhooks. What still fires is told again every few hours.
 */
export const createWebhookDelivery = (options: DeliveryOptions): Exporter => ({
  name: 'webhook',
  start: (view: View) =>
    manageReceivers({
      view,
      metrics: options.metrics,
      persistedState: options.persistedState('webhooks'),
      configured: () => labelReceivers(options.receivers()).webhooks,
      create: (named, persisted, persistence) =>
        createReceiver(named, persisted, persistence, options),
    }),
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
    if (!delivered && !isRejected) return 'later'
    const count = batch.changed.length + batch.stillFiring.length
    if (delivered) metrics.delivered(label, count)
    else {
      // What it already knows is not lost
      metrics.dropped(label, batch.changed.length || 1)
      log.warn(
        { receiver: label, alert: batch.alertname, reason: describeResult(result) },
        'a notification was refused and is given up',
      )
    }
    queue.recordResult(batch, isRejected, now())
    metrics.queued(label, queue.length())
    persistence.schedule()
    // Or a restart would tell it again
    await persistence.flush()
    return delivered ? 'taken' : 'refused'
  }
  const nextRequest = async (): Promise<DeliveryRequest | null> => {
    const batch = queue.next(now())
    if (!batch) return null
    // What is told is written down first: after a crash it is the same alert and no new one
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
        log.warn({ receiver: label, dropped }, 'too many notifications wait')
      }
      metrics.queued(label, queue.length())
      worker.wake()
    },
    serialize: () => queue.serialize(),
    stop: worker.stop,
  }
}

/** The URL itself, or what its file holds now. Rejects with a sentence that does not hold it. */
export const webhookUrl = async ({
  url: inlineUrl,
  urlFile: file = '',
}: WebhookSettings): Promise<string> => {
  if (inlineUrl !== undefined) return inlineUrl
  const text = (await readSecret(file)).trim()
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol))
    throw new Error(`${file} does not hold a URL of http or https`)
  return text
}
