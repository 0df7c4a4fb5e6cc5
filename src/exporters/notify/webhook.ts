import type { AlertsState, View } from '../../model.ts'
import { startCourier, sentenceOf, type Parcel } from './courier.ts'
import type { Exporter } from '../exporter.ts'
import { followReceivers, type Keep } from './follow-receivers.ts'
import { isTaken, readSecret, type Posted } from './post.ts'
import { nameReceivers, type Named, type WebhookSettings } from './receivers.ts'
import type { SenderOptions } from './sender-options.ts'
import { payloadOf } from './webhook-payload.ts'
import { createWebhookQueue, type Batch } from './webhook-queue.ts'

/**
 * Tells each configured webhook what begins to fire and what is over, in order and once, in the payload of
 * Alertmanager's own webhooks. What still fires is told again every few hours.
 */
export const createWebhookExporter = (options: SenderOptions): Exporter => ({
  name: 'webhook',
  start: (view: View) =>
    followReceivers({
      view,
      tally: options.tally,
      memory: options.memory('webhooks'),
      wanted: () => nameReceivers(options.receivers()).webhooks,
      create: (named, kept, keep) => createReceiver(named, kept, keep, options),
    }),
})

const createReceiver = (
  { label, settings }: Named<WebhookSettings>,
  kept: unknown,
  keep: Keep,
  options: SenderOptions,
) => {
  const { tally, clock, log } = options
  const queue = createWebhookQueue(settings.repeatHours, kept)
  const now = () => clock.now() / 1000
  let externalUrl = ''

  const answered = async (batch: Batch, posted: Posted) => {
    const { status } = posted
    const taken = isTaken(posted)
    const isRefused =
      status !== null && status >= 400 && status < 500 && status !== 408 && status !== 429
    if (!taken && !isRefused) return 'later'
    const count = batch.news.length + batch.still.length
    if (taken) tally.taken(label, count)
    else {
      // What it already knows is not lost
      tally.givenUp(label, batch.news.length || 1)
      log.warn(
        { receiver: label, alert: batch.alertname, reason: sentenceOf(posted) },
        'a notification was refused and is given up',
      )
    }
    queue.settle(batch, isRefused, now())
    tally.waiting(label, queue.waiting())
    keep.changed()
    // Or a restart would tell it again
    await keep.flush()
    return taken ? 'taken' : 'refused'
  }
  const next = async (): Promise<Parcel | null> => {
    const batch = queue.next(now())
    if (!batch) return null
    // What is told is written down first: after a crash it is the same alert and no new one
    await keep.flush()
    return {
      url: await webhookUrl(settings),
      body: payloadOf({
        receiver: label,
        alertname: batch.alertname,
        externalUrl,
        alerts: [...batch.news, ...batch.still],
        truncated: batch.truncated,
      }),
      answered: posted => answered(batch, posted),
    }
  }
  const courier = startCourier({ label, access: settings, next }, options)
  return {
    follow: (state: AlertsState) => {
      externalUrl = state.externalUrl
      const dropped = queue.follow(state.list, now())
      if (dropped > 0) {
        tally.givenUp(label, dropped)
        log.warn({ receiver: label, dropped }, 'too many notifications wait')
      }
      tally.waiting(label, queue.waiting())
      courier.wake()
    },
    remember: () => queue.remember(),
    stop: courier.stop,
  }
}

/** The URL itself, or what its file holds now. Rejects with a sentence that does not hold it. */
export const webhookUrl = async ({
  url: written,
  urlFile: file = '',
}: WebhookSettings): Promise<string> => {
  if (written !== undefined) return written
  const text = (await readSecret(file)).trim()
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol))
    throw new Error(`${file} does not hold a URL of http or https`)
  return text
}
