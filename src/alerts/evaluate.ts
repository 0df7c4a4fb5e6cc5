import type { Log } from '../log.ts'
import type { Alert, AlertsState, Clock, Sample, Snapshot } from '../model.ts'
import { createCalmClock } from './calm-clock.ts'
import { createDress, labelsOf, type Dress, type Sender } from './dress.ts'
import { createHourWindow } from './hour-window.ts'
import { fingerprintOf, type Labels } from './labels.ts'
import { noAlerts, over, step, type Alerts, type Tracked } from './machine.ts'
import { recallAlerts, rememberAlerts } from './memory.ts'
import { alertRules } from './rules.ts'
import { seriesOf, type Series } from './series.ts'
import { outerLabels, type AlertSettings } from './settings.ts'

export interface AlertsDeps {
  readonly read: () => Snapshot
  /** Shows the alerts; null where alerting is off. */
  readonly publish: (alerts: AlertsState | null) => void
  /** What /metrics would print of the families of the rules, at that Unix time. */
  readonly samples: (snapshot: Snapshot, now: number) => readonly Sample[]
  /** As configured now, defaults filled in. */
  readonly settings: () => AlertSettings
  /** What outlives a restart. */
  readonly memory: {
    readonly read: () => unknown
    readonly write: (value: () => unknown, isNews: boolean) => void
  }
  readonly clock: Clock
  readonly log: Log
  /** What each `for` is multiplied by; 1 by default. Tests of the whole have no five minutes. */
  readonly patience?: number
}

/** From a restart on, the longest time in seconds that an alert fires for want of measurements. */
const longestRestored = 900
const oomKills = 'nix_builder_daemon_oom_kills_total'

/** Evaluates all rules over the newest snapshot, each time the returned function is called. */
export const createEvaluate = (deps: AlertsDeps): (() => void) => {
  const { clock, log } = deps
  const steady = () => clock.monotonic() / 1000
  const startedAt = steady()
  const kept = deps.memory.read() as { alerts?: unknown; increases?: unknown } | undefined
  let alerts = recallAlerts(kept?.alerts, startedAt)
  const window = createHourWindow([oomKills], kept?.increases)
  // New measurements of everything there are within a canary's interval
  const calm = createCalmClock(clock, () =>
    Math.max(3600, 2 * deps.read().monitor.intervals.canary),
  )
  let published: AlertsState | null = null
  let dressed: { readonly text: string; readonly dress: Dress } | null = null

  /** Whose alerts they are seldom changes; when it does, those that there are change with it. */
  const dressFor = (sender: Sender): Dress => {
    const text = JSON.stringify(sender)
    if (dressed?.text !== text) {
      dressed = { text, dress: createDress(sender) }
      alerts = relabelled(alerts, sender.labels, clock.now() / 1000, steady())
    }
    return dressed.dress
  }
  const show = (settings: AlertSettings) => {
    const list = [
      ...[...alerts.active.values()].map(({ alert }) => alert),
      ...[...alerts.ended.values()].map(({ alert }) => alert),
    ]
    const known = published?.list
    if (
      published?.externalUrl === settings.externalUrl &&
      known?.length === list.length &&
      list.every((alert, i) => alert === known[i])
    )
      return
    const isNews = list.map(keyOf).join() !== known?.map(keyOf).join()
    published = { externalUrl: settings.externalUrl, list }
    // Before it is shown: who is told of it also finds it written
    remember(isNews)
    deps.publish(published)
  }
  const remember = (isNews: boolean) =>
    deps.memory.write(
      () => ({
        alerts: rememberAlerts(alerts, steady()),
        increases: window.remember(),
      }),
      isNews,
    )

  return () => {
    const now = calm()
    const settings = deps.settings()
    const snapshot = deps.read()
    const wall = clock.now() / 1000
    if (!settings.enable) {
      if (published) deps.publish(null)
      if (alerts.active.size > 0 || published) remember(true)
      published = null
      alerts = noAlerts
      return
    }
    const samples = deps.samples(snapshot, now)
    window.observe(samples, now)
    const dress = dressFor({
      labels: outerLabels(settings),
      externalUrl: settings.externalUrl,
      patience: deps.patience ?? 1,
    })
    // In doubt of ourselves nothing begins and nothing ends
    if (!snapshot.monitor.suspect) {
      const series = seriesOf(samples, now, family => window.increase(family, now))
      const before = alerts
      alerts = step(alerts, {
        wall,
        steady: steady(),
        holdings: alertRules
          .filter(({ name }) => !settings.disabledAlerts.includes(name))
          .flatMap(rule => rule.holds(series).map(found => dress(rule, found))),
        mayEnd: tracked =>
          !tracked.isRestored ||
          steady() - startedAt > longestRestored ||
          (snapshot.monitor.ready && hasSpoken(series, tracked)),
      })
      tell(log, before, alerts)
    }
    show(settings)
    if (alerts.active.size > 0) remember(false)
  }
}

const keyOf = ({ fingerprint, state }: Alert): string => `${fingerprint}${state}`

/** Whether the probes have told what could end the alert. A builder that left has nothing to tell. */
const hasSpoken = (series: Series, { alert, inner }: Tracked): boolean => {
  const { builder } = inner
  if (builder !== undefined) {
    const unknown = series.one('nix_builder_state', { builder, state: 'unknown' })
    if (unknown === undefined) return true
    if (unknown === 1 && alert.name !== 'NixBuilderUnknown') return false
  }
  const family = alertRules.find(({ name }) => name === alert.name)?.spokenBy
  return (
    family === undefined ||
    series
      .of(family)
      .some(({ labels }) =>
        Object.entries(labels).every(([name, value]) => inner[name] === value),
      )
  )
}

/** Where the labels of this monitor were changed: the alerts under the old ones are over, and go on under the new ones. */
const relabelled = (
  { active, ended }: Alerts,
  outer: Labels,
  wall: number,
  steady: number,
): Alerts => {
  const nextEnded = new Map(ended)
  let changed = false
  const nextActive = [...active].map(([id, tracked]): [string, Tracked] => {
    const { alert, inner } = tracked
    const severity = alert.labels['severity'] ?? ''
    const labels = labelsOf(alert.name, severity, inner, outer)
    const fingerprint = fingerprintOf(labels)
    if (fingerprint === id) return [id, tracked]
    changed = true
    if (alert.state === 'firing')
      nextEnded.set(id, { at: steady, alert: over(alert, wall) })
    return [fingerprint, { ...tracked, alert: { ...alert, labels, fingerprint } }]
  })
  return changed ? { active: new Map(nextActive), ended: nextEnded } : { active, ended }
}

/** A line for each alert that begins or ends to fire. */
const tell = (log: Log, before: Alerts, after: Alerts): void => {
  for (const [id, { alert }] of after.active)
    if (alert.state === 'firing' && before.active.get(id)?.alert.state !== 'firing')
      log.warn(fieldsOf(alert), 'alert fires')
  for (const [id, { alert }] of after.ended)
    if (before.ended.get(id)?.alert !== alert) log.info(fieldsOf(alert), 'alert is over')
}

const fieldsOf = ({ name, labels, annotations }: Alert) => ({
  alert: name,
  ...(labels['builder'] === undefined ? {} : { builder: labels['builder'] }),
  severity: labels['severity'],
  description: annotations['description'],
})
