import type { Alert } from '../../model/index.ts'

/** Reads alerts that were kept over a restart, whatever they are by now; what is not as it should be is left out. */
export const restoreAlertList = (persisted: unknown): readonly Alert[] =>
  Array.isArray(persisted) ? (persisted as unknown[]).filter(isAlert) : []

const isAlert = (value: unknown): value is Alert => {
  const alert = (value ?? {}) as Partial<Record<keyof Alert, unknown>>
  return (
    ['name', 'fingerprint', 'generatorUrl'].every(
      key => typeof alert[key as keyof Alert] === 'string',
    ) &&
    isStringRecord(alert.labels) &&
    isStringRecord(alert.annotations) &&
    typeof alert.startsAt === 'number' &&
    (alert.state === 'firing'
      ? alert.endsAt === null
      : alert.state === 'resolved' && typeof alert.endsAt === 'number')
  )
}

const isStringRecord = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every(one => typeof one === 'string')
