import type { Alert } from '../../model.ts'

/** Alertmanager ends by itself what it does not hear of for so long; four resends. */
export const aliveSeconds = 240

/** An alert of API v2 (api/v2/openapi.yaml, postableAlert). Whatever the wall clock did, it does not end before it starts. */
export const postable = ({ labels, annotations, ...alert }: Alert, now: number) => {
  const ends =
    alert.state === 'resolved' ? Math.min(alert.endsAt ?? now, now) : now + aliveSeconds
  return {
    labels,
    annotations,
    startsAt: timeOf(Math.min(alert.startsAt ?? now, now, ends)),
    endsAt: timeOf(ends),
    generatorURL: alert.generatorUrl,
  }
}

const timeOf = (unixSeconds: number): string => new Date(unixSeconds * 1000).toISOString()

/** Where alerts are posted, whether the configured URL is that of Alertmanager or already this one. */
export const alertsPathOf = (url: string): string =>
  `${url.replace(/\/+$/, '').replace(/\/api\/v2\/alerts$/, '')}/api/v2/alerts`
