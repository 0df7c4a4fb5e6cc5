import type { Alert } from '../../model/index.ts'
import { restoreAlertList } from '../persisted-alerts.ts'

/** Maximum number of queued notifications per receiver; see `selectDropped`. */
export const maxQueueLength = 4000
/** Maximum number of alerts per request. */
const maxGroupSize = 256

/** The alerts of one request: those whose state changed, and those of the same name that are still firing. */
export interface Batch {
  readonly alertname: string
  readonly changed: readonly Alert[]
  readonly stillFiring: readonly Alert[]
  readonly truncated: number
}

export interface WebhookQueue {
  /** Queues the changes in the newest list of alerts. Returns the number of notifications dropped from a full queue. */
  update(list: readonly Alert[], now: number): number
  /** Returns the batch that is due at this Unix time; the same one until its result is recorded. */
  next(now: number): Batch | null
  /** Records that the batch was delivered or permanently rejected. */
  recordResult(batch: Batch, isRejected: boolean, now: number): void
  length(): number
  /** Returns its state as JSON. */
  serialize(): unknown
}

/**
 * Tracks which alerts one webhook has received, and queues changes in order. A firing alert is sent once (then only
 * repeated), and a resolved one only when its firing was sent.
 */
export const createWebhookQueue = (
  repeatHours: number,
  persisted?: unknown,
): WebhookQueue => {
  const restored = (persisted ?? {}) as Readonly<Record<string, unknown>>
  let queue = restoreAlertList(restored['queue'])
  /** Firing alerts that were delivered, by fingerprint. */
  const sent = byId(restoreAlertList(restored['sent']))
  /** Firing alerts that were rejected, by fingerprint. */
  const rejected = byId(restoreAlertList(restored['rejected']))
  const sentAt = new Map(Object.entries(restoreTimes(restored['sentAt'])))
  /** The newest state of each alert that was delivered, rejected or queued. */
  const newest = new Map([...sent, ...rejected, ...byId(queue)])

  const push = (alert: Alert) => {
    const { fingerprint } = alert
    if (alert.state === 'resolved' && rejected.delete(fingerprint)) {
      newest.delete(fingerprint)
      return
    }
    queue = [...queue, alert]
    newest.set(fingerprint, alert)
  }
  const pushResolved = (alert: Alert, now: number) =>
    push({
      ...alert,
      state: 'resolved',
      endsAt: Math.max(now, alert.startsAt ?? now),
    })

  return {
    update: (list, now) => {
      const seen = new Set<string>()
      for (const alert of list) {
        const { fingerprint, state, startsAt } = alert
        const known = newest.get(fingerprint)
        const isKnown = known?.state === 'firing' && known.startsAt === startsAt
        if (state === 'firing') {
          seen.add(fingerprint)
          if (isKnown) {
            // Repeat it with its newest value
            for (const known of [sent, rejected])
              if (known.has(fingerprint)) known.set(fingerprint, alert)
            continue
          }
          if (known?.state === 'firing') pushResolved(known, now)
          push(alert)
        } else if (state === 'resolved' && isKnown) push(alert)
      }
      for (const [fingerprint, alert] of newest)
        if (alert.state === 'firing' && !seen.has(fingerprint)) pushResolved(alert, now)
      const dropped = selectDropped(queue)
      if (dropped.size === 0) return 0
      queue = queue.filter(alert => !dropped.has(alert))
      for (const alert of dropped) {
        const { fingerprint } = alert
        if (newest.get(fingerprint) !== alert) continue
        // A firing alert is sent again with the next repetition
        if (alert.state === 'firing') rejected.set(fingerprint, alert)
        else newest.delete(fingerprint)
      }
      return dropped.size
    },
    next: now => {
      // Skip the end of an alert whose start was dropped
      const started = new Set(sent.keys())
      queue = queue.filter(alert => {
        const { state, fingerprint } = alert
        if (state === 'firing') started.add(fingerprint)
        if (started.has(fingerprint)) return true
        if (newest.get(fingerprint) === alert) newest.delete(fingerprint)
        return false
      })
      const [head] = queue
      if (head) return createBatch(head.name, selectChanged(queue, head.name), sent)
      for (const name of new Set(
        [...sent.values(), ...rejected.values()].map(alertName),
      )) {
        const last = Math.min(sentAt.get(name) ?? now, now)
        sentAt.set(name, last)
        if (now - last < repeatHours * 3600) continue
        const retried = [...rejected.values()].filter(one => one.name === name)
        return createBatch(name, retried.slice(0, maxGroupSize), sent)
      }
      return null
    },
    recordResult: ({ alertname, changed }, isRejected, now) => {
      const settled = new Set(changed)
      queue = queue.filter(alert => !settled.has(alert))
      for (const alert of changed) {
        const { fingerprint, state } = alert
        sent.delete(fingerprint)
        rejected.delete(fingerprint)
        const isNewest = newest.get(fingerprint) === alert
        if (state === 'resolved') {
          if (isNewest) newest.delete(fingerprint)
        } else if (!isRejected) sent.set(fingerprint, alert)
        // If its end is queued already, there is nothing to repeat
        else if (isNewest) rejected.set(fingerprint, alert)
      }
      sentAt.set(alertname, now)
      const names = new Set([...sent.values(), ...rejected.values()].map(alertName))
      for (const name of sentAt.keys()) if (!names.has(name)) sentAt.delete(name)
    },
    length: () => queue.length,
    serialize: () => ({
      queue,
      sent: [...sent.values()],
      rejected: [...rejected.values()],
      sentAt: Object.fromEntries(sentAt),
    }),
  }
}

const alertName = ({ name }: Alert): string => name

const byId = (alerts: readonly Alert[]): Map<string, Alert> =>
  new Map(alerts.map(alert => [alert.fingerprint, alert]))

/** Returns the first changes of that name, up to the second change of one alert, which must go into the next request. */
const selectChanged = (queue: readonly Alert[], name: string): readonly Alert[] => {
  const changed = new Map<string, Alert>()
  for (const alert of queue) {
    if (alert.name !== name) continue
    if (changed.has(alert.fingerprint) || changed.size === maxGroupSize) break
    changed.set(alert.fingerprint, alert)
  }
  return [...changed.values()]
}

const createBatch = (
  alertname: string,
  changed: readonly Alert[],
  sent: ReadonlyMap<string, Alert>,
): Batch => {
  const inChanged = new Set(changed.map(({ fingerprint }) => fingerprint))
  const others = [...sent.values()].filter(
    ({ name, fingerprint }) => name === alertname && !inChanged.has(fingerprint),
  )
  const stillFiring = others.slice(0, maxGroupSize - changed.length)
  return {
    alertname,
    changed,
    stillFiring,
    truncated: others.length - stillFiring.length,
  }
}

/**
 * Selects notifications to drop when the queue is full: alerts that fired and already resolved, then firing, then
 * resolved ones; oldest first.
 */
const selectDropped = (queue: readonly Alert[]): ReadonlySet<Alert> => {
  const excess = queue.length - maxQueueLength
  const dropped = new Set<Alert>()
  if (excess <= 0) return dropped
  const started = new Map<string, Alert>()
  for (const alert of queue) {
    if (dropped.size >= excess) return dropped
    const first = started.get(alert.fingerprint)
    if (alert.state === 'firing') started.set(alert.fingerprint, alert)
    else if (first) {
      dropped.add(first).add(alert)
      started.delete(alert.fingerprint)
    }
  }
  for (const state of ['firing', 'resolved'])
    for (const alert of queue)
      if (dropped.size < excess && alert.state === state) dropped.add(alert)
  return dropped
}

const restoreTimes = (value: unknown): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries((value ?? {}) as Readonly<Record<string, unknown>>).filter(
      (entry): entry is [string, number] => Number.isFinite(entry[1]),
    ),
  )
