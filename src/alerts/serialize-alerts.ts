import type { Alert } from '../model/index.ts'
import { computeFingerprint, type Labels } from './labels.ts'
import type { TrackedAlerts, ResolvedAlert, ActiveAlert } from './alert-state.ts'

/** What of the alerts outlives a restart, as JSON: how long each has held or been over, not by which clock. */
export const serializeAlerts = (
  { active, resolved }: TrackedAlerts,
  monotonicSeconds: number,
): unknown => ({
  active: [...active.values()].map(({ alert, ruleLabels, matchingSince }) => ({
    alert,
    inner: ruleLabels,
    heldSeconds: monotonicSeconds - matchingSince,
  })),
  ended: [...resolved.values()].map(({ alert, resolvedAt }) => ({
    alert,
    overSeconds: monotonicSeconds - resolvedAt,
  })),
})

/** Reads it again, whatever it is by now; what is not as it should be is left out. The time that we were away does not count. */
export const restoreAlerts = (
  persisted: unknown,
  monotonicSeconds: number,
): TrackedAlerts => {
  const { active, ended } = toRecord(persisted)
  const activeAlerts = toList(active).flatMap((one): ActiveAlert[] => {
    const { alert, inner: ruleLabels, heldSeconds } = toRecord(one)
    if (!isAlert(alert) || alert.state === 'resolved') return []
    if (!isLabels(ruleLabels) || typeof heldSeconds !== 'number') return []
    const matchingSince = monotonicSeconds - Math.max(0, heldSeconds)
    return [{ alert, ruleLabels, matchingSince, missed: 0, isRestored: true }]
  })
  const resolvedAlerts = toList(ended).flatMap((one): ResolvedAlert[] => {
    const { alert, overSeconds } = toRecord(one)
    if (!isAlert(alert) || alert.state !== 'resolved') return []
    if (typeof overSeconds !== 'number') return []
    return [{ alert, resolvedAt: monotonicSeconds - Math.max(0, overSeconds) }]
  })
  return {
    active: new Map(activeAlerts.map(one => [one.alert.fingerprint, one])),
    resolved: new Map(resolvedAlerts.map(one => [one.alert.fingerprint, one])),
  }
}

const toRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const toList = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : []

const isLabels = (value: unknown): value is Labels =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every(one => typeof one === 'string')

const isAlert = (value: unknown): value is Alert => {
  const alert = toRecord(value)
  const { name, labels, annotations, state, fingerprint, generatorUrl } = alert
  const isTime = (time: unknown) => typeof time === 'number' && Number.isFinite(time)
  return (
    typeof name === 'string' &&
    isLabels(labels) &&
    isLabels(annotations) &&
    fingerprint === computeFingerprint(labels) &&
    typeof generatorUrl === 'string' &&
    typeof alert['value'] === 'number' &&
    isTime(alert['activeAt']) &&
    (state === 'pending'
      ? alert['startsAt'] === null
      : (state === 'firing' || state === 'resolved') && isTime(alert['startsAt'])) &&
    (state === 'resolved' ? isTime(alert['endsAt']) : alert['endsAt'] === null)
  )
}
