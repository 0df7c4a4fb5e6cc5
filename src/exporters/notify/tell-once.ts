import type { Alert, Clock } from '../../model.ts'
import { alertsPathOf, postable } from './alertmanager-api.ts'
import { sentenceOf } from './courier.ts'
import type { Post, Posted } from './post.ts'
import { nameReceivers, type Access, type ReceiverSettings } from './receivers.ts'
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
    const send = (url: string, access: Access, body: string) =>
      post({ url, access, body, signal }).then(faultOf)
    const now = clock.now() / 1000
    const tellAlertmanager = (url: string, access: Access) =>
      send(alertsPathOf(url), access, JSON.stringify([postable(alert, now)]))
    const tellWebhook = async (
      receiver: string,
      access: Access,
      url: Promise<string>,
    ): Promise<string | null> => {
      const tell = async (one: Alert) => {
        const { name: alertname } = one
        const group = { receiver, alertname, externalUrl, alerts: [one], truncated: 0 }
        return send(await url, access, payloadOf(group))
      }
      return (await tell(alert)) ?? tell({ ...alert, state: 'resolved', endsAt: now })
    }
    return Promise.all([
      ...alertmanagers.map(async ({ label, settings }) => ({
        receiver: label,
        kind: 'Alertmanager' as const,
        fault: await tellAlertmanager(settings.url, settings),
      })),
      ...webhooks.map(async ({ label, settings }) => ({
        receiver: label,
        kind: 'webhook' as const,
        fault: await tellWebhook(label, settings, webhookUrl(settings)).catch(
          (error: unknown) => (error instanceof Error ? error.message : String(error)),
        ),
      })),
    ])
  }

const faultOf = (posted: Posted): string | null =>
  posted.status !== null && posted.status >= 200 && posted.status < 300
    ? null
    : sentenceOf(posted)
