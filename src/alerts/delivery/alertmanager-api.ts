import type { Alert } from '../../model/index.ts'

/** Alertmanager ends by itself what it does not hear of for so long; four resends. */
export const resolveTimeoutSeconds = 240

/** An alert of API v2 (api/v2/openapi.yaml, postableAlert). Whatever the wall clock did, it does not end before it starts. */
export const toPostableAlert = (
  { labels, annotations, ...alert }: Alert,
  now: number,
) => {
  const endsAtSeconds =
    alert.state === 'resolved'
      ? Math.min(alert.endsAt ?? now, now)
      : now + resolveTimeoutSeconds
  return {
    labels,
    annotations,
    startsAt: toIsoTime(Math.min(alert.startsAt ?? now, now, endsAtSeconds)),
    endsAt: toIsoTime(endsAtSeconds),
    generatorURL: alert.generatorUrl,
  }
}

const toIsoTime = (unixSeconds: number): string =>
  new Date(unixSeconds * 1000).toISOString()

/** Where alerts are posted, whether the configured URL is that of Alertmanager or already this one. */
export const alertsUrl = (url: string): string =>
  `${url.replace(/\/+$/, '').replace(/\/api\/v2\/alerts$/, '')}/api/v2/alerts`
