import type { Alert } from '../model/index.ts'
import { computeFingerprint, type Labels } from './labels.ts'
import type { TrackedAlerts, ResolvedAlert, ActiveAlert } from './alert-state.ts'

/** Returns the alerts as JSON for the state file. Monotonic times become durations. */
export const serializeAlerts = (
  { active, resolved }: TrackedAlerts,
  monotonicSeconds: number,
): unknown => ({
  active: [...active.values()].map(({ alert, ruleLabels, matchingSince }) => ({
    alert,
    ruleLabels,
    matchingForSeconds: monotonicSeconds - matchingSince,
  })),
  resolved: [...resolved.values()].map(({ alert, resolvedAt }) => ({
    alert,
    resolvedForSeconds: monotonicSeconds - resolvedAt,
  })),
})

/** Parses persisted alerts. Invalid entries are dropped. Durations do not include the time the monitor was stopped. */
export const restoreAlerts = (
  persisted: unknown,
  monotonicSeconds: number,
): TrackedAlerts => {
  const { active, resolved } = toRecord(persisted)
  const activeAlerts = toList(active).flatMap((entry): ActiveAlert[] => {
    const { alert, ruleLabels, matchingForSeconds } = toRecord(entry)
    if (!isAlert(alert) || alert.state === 'resolved') return []
    if (!isLabels(ruleLabels) || typeof matchingForSeconds !== 'number') return []
    const matchingSince = monotonicSeconds - Math.max(0, matchingForSeconds)
    return [{ alert, ruleLabels, matchingSince, missed: 0, isRestored: true }]
  })
  const resolvedAlerts = toList(resolved).flatMap((entry): ResolvedAlert[] => {
    const { alert, resolvedForSeconds } = toRecord(entry)
    if (!isAlert(alert) || alert.state !== 'resolved') return []
    if (typeof resolvedForSeconds !== 'number') return []
    return [{ alert, resolvedAt: monotonicSeconds - Math.max(0, resolvedForSeconds) }]
  })
  return {
    active: new Map(activeAlerts.map(entry => [entry.alert.fingerprint, entry])),
    resolved: new Map(resolvedAlerts.map(entry => [entry.alert.fingerprint, entry])),
  }
}

/** Parses a persisted list of firing and resolved alerts. Invalid entries are dropped. */
export const restoreAlertList = (persisted: unknown): readonly Alert[] =>
  toList(persisted)
    .filter(isAlert)
    .filter(({ state }) => state !== 'pending')

const toRecord = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

const toList = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : []

const isLabels = (value: unknown): value is Labels =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every(label => typeof label === 'string')

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
