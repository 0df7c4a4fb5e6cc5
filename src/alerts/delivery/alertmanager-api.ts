import type { Alert } from '../../model/index.ts'
import { trimEnd } from '../../text/trim-end.ts'

/** Alertmanager resolves an alert by itself when it is not resent within this time: four resend intervals. */
export const resolveTimeoutSeconds = 240

/**
 * Converts an alert to a `postableAlert` of API v2 (api/v2/openapi.yaml). The end is never before the start, even after
 * a jump of the wall clock.
 */
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

/** Returns the URL that accepts alerts. Accepts the base URL of Alertmanager or that URL itself. */
export const alertsUrl = (url: string): string =>
  `${trimEnd(url, '/').replace(/\/api\/v2\/alerts$/, '')}/api/v2/alerts`
