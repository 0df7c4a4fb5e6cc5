import type { Alert } from '../../model.ts'
import { recallAlertList } from './told-alerts.ts'

/** Notifications of one receiver that wait at most; when there are more, alerts that began and ended meanwhile go first. */
export const queueMax = 4000
/** Alerts in one request. */
const groupMax = 256

/** What goes in one request: alerts whose state is news, and those of the same name that still fire. */
export interface Batch {
  readonly alertname: string
  readonly news: readonly Alert[]
  readonly still: readonly Alert[]
  readonly truncated: number
}

export interface WebhookQueue {
  /** Takes over the newest alerts; the number of notifications that were dropped for want of room. */
  follow(list: readonly Alert[], now: number): number
  /** What is due at that Unix time; the same again until it is settled. */
  next(now: number): Batch | null
  /** The batch was taken, or refused for good. */
  settle(batch: Batch, isRefused: boolean, now: number): void
  waiting(): number
  /** As JSON. */
  remember(): unknown
}

/**
 * What one webhook was told, and what it has to be told, in order. An alert that it was told of is never news again, nor
 * is one over that it was not told of.
 */
export const createWebhookQueue = (repeatHours: number, kept?: unknown): WebhookQueue => {
  const past = (kept ?? {}) as Readonly<Record<string, unknown>>
  let queue = recallAlertList(past['queue'])
  /** Firing ones that the receiver knows. */
  const told = byId(recallAlertList(past['told']))
  /** Firing ones that it refused. */
  const refused = byId(recallAlertList(past['refused']))
  const sentAt = new Map(Object.entries(timesOf(past['sentAt'])))
  /** The newest of each alert that was told or waits. */
  const newest = new Map([...told, ...refused, ...byId(queue)])

  const push = (alert: Alert) => {
    const { fingerprint } = alert
    if (alert.state === 'resolved' && refused.delete(fingerprint)) {
      newest.delete(fingerprint)
      return
    }
    queue = [...queue, alert]
    newest.set(fingerprint, alert)
  }
  const end = (alert: Alert, now: number) =>
    push({
      ...alert,
      state: 'resolved',
      endsAt: Math.max(now, alert.startsAt ?? now),
    })

  return {
    follow: (list, now) => {
      const seen = new Set<string>()
      for (const alert of list) {
        const { fingerprint, state, startsAt } = alert
        const known = newest.get(fingerprint)
        const isKnown = known?.state === 'firing' && known.startsAt === startsAt
        if (state === 'firing') {
          seen.add(fingerprint)
          if (isKnown) {
            // The newest value, for when it is told again
            for (const known of [told, refused])
              if (known.has(fingerprint)) known.set(fingerprint, alert)
            continue
          }
          if (known?.state === 'firing') end(known, now)
          push(alert)
        } else if (state === 'resolved' && isKnown) push(alert)
      }
      for (const [fingerprint, alert] of newest)
        if (alert.state === 'firing' && !seen.has(fingerprint)) end(alert, now)
      const dropped = excessOf(queue)
      if (dropped.size === 0) return 0
      queue = queue.filter(alert => !dropped.has(alert))
      for (const alert of dropped) {
        const { fingerprint } = alert
        if (newest.get(fingerprint) !== alert) continue
        // What still fires gets another chance when it is time to repeat
        if (alert.state === 'firing') refused.set(fingerprint, alert)
        else newest.delete(fingerprint)
      }
      return dropped.size
    },
    next: now => {
      // What was dropped before it was told needs no end
      const begun = new Set(told.keys())
      queue = queue.filter(alert => {
        const { state, fingerprint } = alert
        if (state === 'firing') begun.add(fingerprint)
        if (begun.has(fingerprint)) return true
        if (newest.get(fingerprint) === alert) newest.delete(fingerprint)
        return false
      })
      const [head] = queue
      if (head) return batchOf(head.name, newsOf(queue, head.name), told)
      for (const name of new Set([...told.values(), ...refused.values()].map(nameOf))) {
        const last = Math.min(sentAt.get(name) ?? now, now)
        sentAt.set(name, last)
        if (now - last < repeatHours * 3600) continue
        const again = [...refused.values()].filter(one => one.name === name)
        return batchOf(name, again.slice(0, groupMax), told)
      }
      return null
    },
    settle: ({ alertname, news }, isRefused, now) => {
      const gone = new Set(news)
      queue = queue.filter(alert => !gone.has(alert))
      for (const alert of news) {
        const { fingerprint, state } = alert
        told.delete(fingerprint)
        refused.delete(fingerprint)
        const isNewest = newest.get(fingerprint) === alert
        if (state === 'resolved') {
          if (isNewest) newest.delete(fingerprint)
        } else if (!isRefused) told.set(fingerprint, alert)
        // Where its end waits already, that is for nobody any more
        else if (isNewest) refused.set(fingerprint, alert)
      }
      sentAt.set(alertname, now)
      const names = new Set([...told.values(), ...refused.values()].map(nameOf))
      for (const name of sentAt.keys()) if (!names.has(name)) sentAt.delete(name)
    },
    waiting: () => queue.length,
    remember: () => ({
      queue,
      told: [...told.values()],
      refused: [...refused.values()],
      sentAt: Object.fromEntries(sentAt),
    }),
  }
}

const nameOf = ({ name }: Alert): string => name

const byId = (alerts: readonly Alert[]): Map<string, Alert> =>
  new Map(alerts.map(alert => [alert.fingerprint, alert]))

/** The first of that name, each alert once: what comes after is for the next request. */
const newsOf = (queue: readonly Alert[], name: string): readonly Alert[] => {
  const news = new Map<string, Alert>()
  for (const alert of queue) {
    if (alert.name !== name) continue
    if (news.has(alert.fingerprint) || news.size === groupMax) break
    news.set(alert.fingerprint, alert)
  }
  return [...news.values()]
}

const batchOf = (
  alertname: string,
  news: readonly Alert[],
  told: ReadonlyMap<string, Alert>,
): Batch => {
  const inNews = new Set(news.map(({ fingerprint }) => fingerprint))
  const others = [...told.values()].filter(
    ({ name, fingerprint }) => name === alertname && !inNews.has(fingerprint),
  )
  const still = others.slice(0, groupMax - news.length)
  return { alertname, news, still, truncated: others.length - still.length }
}

/** What must go: stories that are over first, then what begins, then what ends; the oldest of each first. */
const excessOf = (queue: readonly Alert[]): ReadonlySet<Alert> => {
  const excess = queue.length - queueMax
  const drop = new Set<Alert>()
  if (excess <= 0) return drop
  const begun = new Map<string, Alert>()
  for (const alert of queue) {
    if (drop.size >= excess) return drop
    const first = begun.get(alert.fingerprint)
    if (alert.state === 'firing') begun.set(alert.fingerprint, alert)
    else if (first) {
      drop.add(first).add(alert)
      begun.delete(alert.fingerprint)
    }
  }
  for (const state of ['firing', 'resolved'])
    for (const alert of queue)
      if (drop.size < excess && alert.state === state) drop.add(alert)
  return drop
}

const timesOf = (value: unknown): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries((value ?? {}) as Readonly<Record<string, unknown>>).filter(
      (entry): entry is [string, number] => Number.isFinite(entry[1]),
    ),
  )
