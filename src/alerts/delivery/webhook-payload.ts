import type { Alert } from '../../model/index.ts'

export interface AlertGroup {
  readonly receiver: string
  readonly alertname: string
  readonly externalUrl: string
  /** Alerts to send, each with the state to send. */
  readonly alerts: readonly Alert[]
  /** Number of further firing alerts of the group that are left out. */
  readonly truncated: number
}

/** Renders version 4 of Alertmanager's webhook payload (docs/configuration.md), with one group per alertname. */
export const renderWebhookPayload = (group: AlertGroup): string => {
  const { receiver, alertname, externalUrl, alerts, truncated } = group
  return JSON.stringify({
    version: '4',
    groupKey: `{}:{alertname=${JSON.stringify(alertname)}}`,
    truncatedAlerts: truncated,
    status:
      truncated > 0 || alerts.some(({ state }) => state === 'firing')
        ? 'firing'
        : 'resolved',
    receiver,
    groupLabels: { alertname },
    commonLabels: selectCommon(alerts.map(({ labels }) => labels)),
    commonAnnotations: selectCommon(alerts.map(({ annotations }) => annotations)),
    externalURL: externalUrl,
    alerts: alerts.map(alert => ({
      status: alert.state === 'firing' ? 'firing' : 'resolved',
      labels: alert.labels,
      annotations: alert.annotations,
      startsAt: toIsoTime(alert.startsAt),
      endsAt: toIsoTime(alert.endsAt),
      generatorURL: alert.generatorUrl,
      fingerprint: alert.fingerprint,
    })),
  })
}

type StringRecord = Readonly<Record<string, string>>

const selectCommon = ([first, ...others]: readonly StringRecord[]): StringRecord =>
  Object.fromEntries(
    Object.entries(first ?? {}).filter(([name, value]) =>
      others.every(other => other[name] === value),
    ),
  )

/** Null is Go's zero time: the alert has not ended. */
const toIsoTime = (unixSeconds: number | null): string =>
  unixSeconds === null
    ? '0001-01-01T00:00:00Z'
    : new Date(unixSeconds * 1000).toISOString()
