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

/** The result of a test alert for one receiver. */
export interface TestDelivery {
  /** Its label in metrics and log lines. */
  readonly receiver: string
  readonly kind: 'Alertmanager' | 'webhook'
  /** Null when the alert was delivered. */
  readonly error: string | null
}

export interface TestDeliveryDeps {
  readonly post: Post
  readonly clock: Clock
}

/**
 * Sends one alert to every configured receiver, bypassing queues, even when alerting is disabled. Webhooks get the
 * resolved alert right after it; Alertmanager resolves it by itself (`resolveTimeoutSeconds`). Never rejects.
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
      const sendAlert = (alert: Alert) =>
        postAlert(
          url,
          settings,
          renderWebhookPayload({
            receiver,
            alertname: alert.name,
            externalUrl,
            alerts: [alert],
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

export type SendTestAlert = ReturnType<typeof createSendTestAlert>
