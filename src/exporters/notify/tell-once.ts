import type { Alert, Clock } from '../../model.ts'
import { alertsPathOf, postable } from './alertmanager-api.ts'
import { sentenceOf } from './courier.ts'
import { isTaken, type Post } from './post.ts'
import {
  nameReceivers,
  type Access,
  type ReceiverSettings,
  type WebhookSettings,
} from './receivers.ts'
import { payloadOf } from './webhook-payload.ts'
import { webhookUrl } from './webhook.ts'

/** What became of a test at one receiver. */
export interface ToldOnce {
  /** The name by which metrics and log lines know it. */
  readonly receiver: string
  readonly kind: 'Alertmanager' | 'webhook'
  /** A sentence; null where it took the alert. */
  readonly fault: string | null
}

export interface TellOnceDeps {
  readonly post: Post
  readonly clock: Clock
}

/**
 * Tells every configured receiver one alert, whether alerting is turned on or not, past all queues. A webhook is told
 * at once that it is over; an Alertmanager finds that out by itself (`aliveSeconds`). Never rejects.
 */
export const createTellOnce =
  ({ post, clock }: TellOnceDeps) =>
  async (
    settings: ReceiverSettings,
    alert: Alert,
    externalUrl: string,
    signal: AbortSignal,
  ): Promise<readonly ToldOnce[]> => {
    const { alertmanagers, webhooks } = nameReceivers({ ...settings, enable: true })
    const now = clock.now() / 1000
    const send = async (url: string, access: Access, body: string) => {
      const posted = await post({ url, access, body, signal })
      return isTaken(posted) ? null : sentenceOf(posted)
    }
    const tellWebhook = async (receiver: string, settings: WebhookSettings) => {
      const url = await webhookUrl(settings)
      const tell = (one: Alert) =>
        send(
          url,
          settings,
          payloadOf({
            receiver,
            alertname: one.name,
            externalUrl,
            alerts: [one],
            truncated: 0,
          }),
        )
      return (await tell(alert)) ?? tell({ ...alert, state: 'resolved', endsAt: now })
    }
    return Promise.all([
      ...alertmanagers.map(async ({ label, settings }) => ({
        receiver: label,
        kind: 'Alertmanager' as const,
        fault: await send(
          alertsPathOf(settings.url),
          settings,
          JSON.stringify([postable(alert, now)]),
        ),
      })),
      ...webhooks.map(async ({ label, settings }) => ({
        receiver: label,
        kind: 'webhook' as const,
        fault: await tellWebhook(label, settings).catch((error: unknown) =>
          error instanceof Error ? error.message : String(error),
        ),
      })),
    ])
  }
