import type { Alert, AlertsState, View } from '../../model/index.ts'
import { alertsUrl, toPostableAlert } from './alertmanager-api.ts'
import { startDeliveryWorker, describeResult, type DeliveryRequest } from './worker.ts'
import { manageReceivers, type Persistence } from './manage-receivers.ts'
import { isDelivered, type PostResult } from './post.ts'
import {
  labelReceivers,
  type AlertmanagerSettings,
  type ReceiverConfig,
} from './receivers.ts'
import type { DeliveryOptions } from './delivery-options.ts'
import { restoreAlertList } from '../persisted-alerts.ts'

/** As Prometheus (rules/alerting.go, notifier). */
const resendMs = 60_000
const batchSize = 64
/** Resolved alerts that are not delivered yet; more are dropped, oldest first. */
const maxUnsentResolved = 2000
/** A rejected alert is resent after this time. It counts as dropped once. */
const rejectedRetryMs = 600_000

/**
 * Sends firing alerts every minute, and resolved alerts, to each configured Alertmanager (each peer of a cluster)
 * through API v2. Always sends the newest state, no matter how long the receiver was unreachable. Runs until the
 * returned function is called.
 */
export const startAlertmanagers = (view: View, options: DeliveryOptions): (() => void) =>
  manageReceivers({
    view,
    metrics: options.metrics,
    persistedState: options.persistedState('alertmanager'),
    configured: () => labelReceivers(options.receivers()).alertmanagers,
    create: (config, persisted, persistence) =>
      createReceiver(config, persisted, persistence, options),
  })

interface SentState {
  readonly state: Alert['state']
  readonly startsAt: number | null
  /** Monotonic milliseconds. */
  readonly resendAtMs: number
  readonly isRejected: boolean
}

const createReceiver = (
  { label, settings }: ReceiverConfig<AlertmanagerSettings>,
  persisted: unknown,
  persistence: Persistence,
  options: DeliveryOptions,
) => {
  const { metrics, clock, log } = options
  const sent = new Map<string, SentState>()
  const unsentResolved = new Map(
    restoreAlertList(persisted).map(alert => [alert.fingerprint, alert]),
  )
  let current = new Map<string, Alert>()
  /** Fingerprints per request. The alerts are looked up when the request is sent, so it has their newest state. */
  let batches: string[][] = []

  const update = ({ list }: AlertsState) => {
    const next = new Map<string, Alert>()
    for (const alert of list) {
      const { fingerprint, state } = alert
      if (state === 'firing') {
        next.set(fingerprint, alert)
        unsentResolved.delete(fingerprint)
      } else if (state === 'resolved') {
        next.set(fingerprint, alert)
        if (!isSent(sent.get(fingerprint), alert)) unsentResolved.set(fingerprint, alert)
      }
    }
    current = next
    for (const fingerprint of sent.keys())
      if (!current.has(fingerprint) && !unsentResolved.has(fingerprint))
        sent.delete(fingerprint)
    for (const fingerprint of unsentResolved.keys()) {
      if (unsentResolved.size <= maxUnsentResolved) break
      unsentResolved.delete(fingerprint)
      metrics.dropped(label, 1)
    }
    metrics.queued(label, countUnsent())
  }
  const findAlert = (fingerprint: string) =>
    current.get(fingerprint) ?? unsentResolved.get(fingerprint)
  const isDue = (alert: Alert): boolean => {
    const sentState = sent.get(alert.fingerprint)
    return !isSent(sentState, alert) || clock.monotonic() >= (sentState?.resendAtMs ?? 0)
  }
  const countUnsent = () =>
    new Set([
      ...unsentResolved.keys(),
      ...[...current.values()]
        .filter(alert => !isSent(sent.get(alert.fingerprint), alert))
        .map(({ fingerprint }) => fingerprint),
    ]).size

  const recordResult = (alerts: readonly Alert[], isRejected: boolean) => {
    for (const { fingerprint, state, startsAt } of alerts) {
      const sentState = sent.get(fingerprint)
      const isNew = sentState?.state !== state || !sentState.isRejected
      if (isRejected && isNew) metrics.dropped(label, 1)
      sent.set(fingerprint, {
        state,
        startsAt,
        isRejected,
        resendAtMs: clock.monotonic() + (isRejected ? rejectedRetryMs : resendMs),
      })
      if (state === 'resolved' && unsentResolved.get(fingerprint)?.startsAt === startsAt)
        unsentResolved.delete(fingerprint)
    }
    if (!isRejected) metrics.delivered(label, alerts.length)
    metrics.queued(label, countUnsent())
    persistence.schedule()
  }

  const handleResponse = async (
    batch: string[],
    alerts: readonly Alert[],
    result: PostResult,
  ) => {
    const { status } = result
    if (isDelivered(result)) {
      recordResult(alerts, false)
      return 'delivered'
    }
    if (status !== 400 && status !== 413 && status !== 422) {
      batches = []
      return 'retry'
    }
    // Isolate the invalid alert (Alertmanager itself keeps the valid ones)
    if (alerts.length > 1) {
      const half = Math.ceil(batch.length / 2)
      batches.unshift(batch.slice(0, half), batch.slice(half))
      return 'rejected'
    }
    log.warn(
      { receiver: label, alert: alerts[0]?.name, reason: describeResult(result) },
      'alert rejected by the receiver',
    )
    recordResult(alerts, true)
    return 'rejected'
  }

  const nextRequest = async (): Promise<DeliveryRequest | null> => {
    if (batches.length === 0) {
      const due = new Set(
        [...unsentResolved.values(), ...current.values()]
          .filter(isDue)
          .map(({ fingerprint }) => fingerprint),
      )
      batches = splitIntoChunks([...due], batchSize)
    }
    const batch = batches.shift()
    if (!batch) return null
    const alerts = batch.flatMap(fingerprint => findAlert(fingerprint) ?? [])
    if (alerts.length === 0) return nextRequest()
    return {
      url: alertsUrl(settings.url),
      body: JSON.stringify(
        alerts.map(alert => toPostableAlert(alert, clock.now() / 1000)),
      ),
      handleResponse: result => handleResponse(batch, alerts, result),
    }
  }
  const worker = startDeliveryWorker({ label, access: settings, nextRequest }, options)
  return {
    update: (state: AlertsState) => {
      update(state)
      worker.wake()
    },
    serialize: () => [...unsentResolved.values()],
    stop: worker.stop,
  }
}

const isSent = (sentState: SentState | undefined, { state, startsAt }: Alert): boolean =>
  sentState?.state === state && sentState.startsAt === startsAt

const splitIntoChunks = <T>(list: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  )
