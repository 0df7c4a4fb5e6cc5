import type { Alert, AlertsState, View } from '../../model.ts'
import { alertsPathOf, postable } from './alertmanager-api.ts'
import { startCourier, sentenceOf, type Parcel } from './courier.ts'
import type { Exporter } from '../exporter.ts'
import { followReceivers, type Keep } from './follow-receivers.ts'
import { isTaken, type Posted } from './post.ts'
import { nameReceivers, type AlertmanagerSettings, type Named } from './receivers.ts'
import type { SenderOptions } from './sender-options.ts'
import { recallAlertList } from './told-alerts.ts'

/** Prometheus does so, too: rules/alerting.go, notifier. */
const resendMs = 60_000
const batchSize = 64
/** Alerts that are over and that the receiver was never told of. */
const owedMax = 2000
/** An alert that was refused may have a better chance later; it is counted once. */
const refusedMs = 600_000

/**
 * Tells each configured Alertmanager (each peer of a cluster) by its API v2 what fires now, each minute, and what is
 * over. What is sent is always the newest state, however long the receiver was away.
 */
export const createAlertmanagerExporter = (options: SenderOptions): Exporter => ({
  name: 'alertmanager',
  start: (view: View) =>
    followReceivers({
      view,
      tally: options.tally,
      memory: options.memory('alertmanager'),
      wanted: () => nameReceivers(options.receivers()).alertmanagers,
      create: (named, kept, keep) => createReceiver(named, kept, keep, options),
    }),
})

interface Told {
  readonly state: Alert['state']
  readonly startsAt: number | null
  /** Monotonic milliseconds at which it shall be told again. */
  readonly again: number
  readonly isRefused: boolean
}

const createReceiver = (
  { label, settings }: Named<AlertmanagerSettings>,
  kept: unknown,
  keep: Keep,
  options: SenderOptions,
) => {
  const { tally, clock, log } = options
  const told = new Map<string, Told>()
  const owed = new Map(recallAlertList(kept).map(one => [one.fingerprint, one]))
  let current = new Map<string, Alert>()
  /** Fingerprints that are to go together; what they stand for is looked up when they go. */
  let batches: string[][] = []

  const follow = ({ list }: AlertsState) => {
    const next = new Map<string, Alert>()
    for (const alert of list) {
      const { fingerprint, state } = alert
      if (state === 'firing') {
        next.set(fingerprint, alert)
        owed.delete(fingerprint)
      } else if (state === 'resolved') {
        next.set(fingerprint, alert)
        if (!isTold(told.get(fingerprint), alert)) owed.set(fingerprint, alert)
      }
    }
    current = next
    for (const fingerprint of told.keys())
      if (!current.has(fingerprint) && !owed.has(fingerprint)) told.delete(fingerprint)
    for (const fingerprint of owed.keys()) {
      if (owed.size <= owedMax) break
      owed.delete(fingerprint)
      tally.givenUp(label, 1)
    }
    tally.waiting(label, waiting())
  }
  const alertOf = (fingerprint: string) =>
    current.get(fingerprint) ?? owed.get(fingerprint)
  const isDue = (alert: Alert): boolean => {
    const known = told.get(alert.fingerprint)
    return !isTold(known, alert) || clock.monotonic() >= (known?.again ?? 0)
  }
  const waiting = () =>
    new Set([
      ...owed.keys(),
      ...[...current.values()]
        .filter(alert => !isTold(told.get(alert.fingerprint), alert))
        .map(({ fingerprint }) => fingerprint),
    ]).size

  const settle = (alerts: readonly Alert[], isRefused: boolean) => {
    for (const { fingerprint, state, startsAt } of alerts) {
      const known = told.get(fingerprint)
      const isNew = known?.state !== state || !known.isRefused
      if (isRefused && isNew) tally.givenUp(label, 1)
      told.set(fingerprint, {
        state,
        startsAt,
        isRefused,
        again: clock.monotonic() + (isRefused ? refusedMs : resendMs),
      })
      if (state === 'resolved' && owed.get(fingerprint)?.startsAt === startsAt)
        owed.delete(fingerprint)
    }
    if (!isRefused) tally.taken(label, alerts.length)
    tally.waiting(label, waiting())
    keep.changed()
  }

  const answered = async (batch: string[], alerts: readonly Alert[], posted: Posted) => {
    const { status } = posted
    if (isTaken(posted)) {
      settle(alerts, false)
      return 'taken'
    }
    if (status !== 400 && status !== 413 && status !== 422) {
      batches = []
      return 'later'
    }
    // One bad alert must not take the others with it (Alertmanager itself keeps the good ones)
    if (alerts.length > 1) {
      const half = Math.ceil(batch.length / 2)
      batches.unshift(batch.slice(0, half), batch.slice(half))
      return 'refused'
    }
    log.warn(
      { receiver: label, alert: alerts[0]?.name, reason: sentenceOf(posted) },
      'an alert was refused',
    )
    settle(alerts, true)
    return 'refused'
  }

  const next = async (): Promise<Parcel | null> => {
    if (batches.length === 0) {
      const due = new Set(
        [...owed.values(), ...current.values()]
          .filter(isDue)
          .map(({ fingerprint }) => fingerprint),
      )
      batches = chunks([...due], batchSize)
    }
    const batch = batches.shift()
    if (!batch) return null
    const alerts = batch.flatMap(fingerprint => alertOf(fingerprint) ?? [])
    if (alerts.length === 0) return next()
    return {
      url: alertsPathOf(settings.url),
      body: JSON.stringify(alerts.map(one => postable(one, clock.now() / 1000))),
      answered: posted => answered(batch, alerts, posted),
    }
  }
  const courier = startCourier({ label, access: settings, next }, options)
  return {
    follow: (state: AlertsState) => {
      follow(state)
      courier.wake()
    },
    remember: () => [...owed.values()],
    stop: courier.stop,
  }
}

const isTold = (known: Told | undefined, { state, startsAt }: Alert): boolean =>
  known?.state === state && known.startsAt === startsAt

const chunks = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  )
