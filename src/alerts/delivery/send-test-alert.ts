import type { Alert, Clock } from '../../model/index.ts'
import { alertsUrl, toPostableAlert } from './alertmanager-api.ts'
import { describeResult } from './worker.ts'
import { isDelivered, type Post } from './post.ts'
import {
  labelReceivers,
  type Access,
  type ReceiverSettings,
  type WebhookSettings,
} from './receivers.ts'
import { renderWebhookPayload } from './webhook-payload.ts'
import { webhookUrl } from './webhook.ts'

/** What became of a test at one receiver. */
export interface TestDelivery {
  /** The name by which metrics and log lines know it. */
  readonly receiver: string
  readonly kind: 'Alertmanager' | 'webhook'
  /** A sentence; null where it took the alert. */
  readonly error: string | null
}

export interface TestDeliveryDeps {
  readonly post: Post
  readonly clock: Clock
}

/**
 * Tells every configured receiver one alert, whether alerting is turned on or not, past all queues. A webhook is told
 * at once that it is over; an Alertmanager finds that out by itself (`aliveSeconds`). Never rejects.
 */
export const createSendTestAlert =
  ({ post, clock }: TestDeliveryDeps) =>
  async (
    settings: ReceiverSettings,
    alert: Alert,
    externalUrl: string,
    signal: AbortSignal,
  ): Promise<readonly TestDelivery[]> => {
    const { alertmanagers, webhooks } = labelReceivers({ ...settings, enable: true })
    const now = clock.now() / 1000
    const postAlert = async (url: string, access: Access, body: string) => {
      const result = await post({ url, access, body, signal })
      return isDelivered(result) ? null : describeResult(result)
    }
    const sendToWebhook = async (receiver: string, settings: WebhookSettings) => {
      const url = await webhookUrl(settings)
      const sendAlert = (one: Alert) =>
        postAlert(
          url,
          settings,
          renderWebhookPayload({
            receiver,
            alertname: one.name,
            externalUrl,
            alerts: [one],
            truncated: 0,
          }),
        )
      return (
        (await sendAlert(alert)) ??
        sendAlert({ ...alert, state: 'resolved', endsAt: now })
      )
    }
    return Promise.all([
      ...alertmanagers.map(async ({ label, settings }) => ({
        receiver: label,
        kind: 'Alertmanager' as const,
        error: await postAlert(
          alertsUrl(settings.url),
          settings,
          JSON.stringify([toPostableAlert(alert, now)]),
        ),
      })),
      ...webhooks.map(async ({ label, settings }) => ({
        receiver: label,
        kind: 'webhook' as const,
        error: await sendToWebhook(label, settings).catch((error: unknown) =>
          error instanceof Error ? error.message : String(error),
        ),
      })),
    ])
  }
