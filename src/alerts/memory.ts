import type { Alert } from '../model.ts'
import { fingerprintOf, type Labels } from './labels.ts'
import type { Alerts, Ended, Tracked } from './machine.ts'

/** What of the alerts outlives a restart, as JSON: how long each has held or been over, not by which clock. */
export const rememberAlerts = ({ active, ended }: Alerts, steady: number): unknown => ({
  active: [...active.values()].map(({ alert, inner, heldSince }) => ({
    alert,
    inner,
    heldSeconds: steady - heldSince,
  })),
  ended: [...ended.values()].map(({ alert, at }) => ({
    alert,
    overSeconds: steady - at,
  })),
})

/** Reads it again, whatever it is by now; what is not as it should be is left out. The time that we were away does not count. */
export const recallAlerts = (kept: unknown, steady: number): Alerts => {
  const { active, ended } = recordOf(kept)
  const tracked = listOf(active).flatMap((one): Tracked[] => {
    const { alert, inner, heldSeconds } = recordOf(one)
    if (!isAlert(alert) || alert.state === 'resolved') return []
    if (!isLabels(inner) || typeof heldSeconds !== 'number') return []
    const heldSince = steady - Math.max(0, heldSeconds)
    return [{ alert, inner, heldSince, missed: 0, isRestored: true }]
  })
  const over = listOf(ended).flatMap((one): Ended[] => {
    const { alert, overSeconds } = recordOf(one)
    if (!isAlert(alert) || alert.state !== 'resolved') return []
    if (typeof overSeconds !== 'number') return []
    return [{ alert, at: steady - Math.max(0, overSeconds) }]
  })
  return {
    active: new Map(tracked.map(one => [one.alert.fingerprint, one])),
    ended: new Map(over.map(one => [one.alert.fingerprint, one])),
  }
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : []

const isLabels = (value: unknown): value is Labels =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every(one => typeof one === 'string')

const isAlert = (value: unknown): value is Alert => {
  const alert = recordOf(value)
  const { name, labels, annotations, state, fingerprint, generatorUrl } = alert
  const isTime = (time: unknown) => typeof time === 'number' && Number.isFinite(time)
  return (
    typeof name === 'string' &&
    isLabels(labels) &&
    isLabels(annotations) &&
    fingerprint === fingerprintOf(labels) &&
    typeof generatorUrl === 'string' &&
    typeof alert['value'] === 'number' &&
    isTime(alert['activeAt']) &&
    (state === 'pending'
      ? alert['startsAt'] === null
      : (state === 'firing' || state === 'resolved') && isTime(alert['startsAt'])) &&
    (state === 'resolved' ? isTime(alert['endsAt']) : alert['endsAt'] === null)
  )
}
