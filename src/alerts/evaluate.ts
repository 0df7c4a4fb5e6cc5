import type { Log } from '../log/log.ts'
import type { Alert, AlertsState, Clock, Sample, Snapshot } from '../model/index.ts'
import { createSteadyClock } from './steady-clock.ts'
import {
  createAlertRenderer,
  alertLabels,
  type RenderAlert,
  type AlertContext,
} from './render-alert.ts'
import { createIncreaseWindow } from './increase-window.ts'
import { computeFingerprint, type Labels } from './labels.ts'
import {
  noAlerts,
  resolveAlert,
  nextAlerts,
  type TrackedAlerts,
  type ActiveAlert,
  type RuleMatch,
} from './alert-state.ts'
import { restoreAlerts, serializeAlerts } from './persisted-alerts.ts'
import type { AlertRule } from './rule.ts'
import { alertRules } from './rules.ts'
import { createSampleSet, type SampleSet } from './sample-set.ts'
import { buildExternalLabels, type AlertSettings } from './settings.ts'

export interface AlertsDeps {
  readonly read: () => Snapshot
  /** Publishes the alerts; null when alerting is off. */
  readonly publish: (alerts: AlertsState | null) => void
  /** Returns the samples that rules use, at this Unix time. */
  readonly samples: (snapshot: Snapshot, now: number) => readonly Sample[]
  /** Returns the current settings with defaults. */
  readonly settings: () => AlertSettings
  /** A section of the state file. `changed` writes it soon. */
  readonly persistedState: {
    readonly read: () => unknown
    readonly write: (value: () => unknown, changed: boolean) => void
  }
  readonly clock: Clock
  readonly log: Log
  /** Multiplies each `for` of the rules, for tests; 1 by default. */
  readonly forMultiplier?: number
}

/** Maximum time after a restart for which a restored alert fires without fresh data. */
const maxRestoredSeconds = 900
const oomKills = 'nix_builder_daemon_oom_kills_total'

/** Creates a function that evaluates all rules over the newest snapshot. */
export const createEvaluator = (deps: AlertsDeps): (() => void) => {
  const { clock, log } = deps
  const monotonicSeconds = () => clock.monotonic() / 1000
  const startedAt = monotonicSeconds()
  const persisted = deps.persistedState.read() as
    { alerts?: unknown; increases?: unknown } | undefined
  let alerts = restoreAlerts(persisted?.alerts, startedAt)
  const window = createIncreaseWindow([oomKills], persisted?.increases)
  // Within two canary intervals all measurements are new
  const steadyClock = createSteadyClock(clock, () =>
    Math.max(3600, 2 * deps.read().monitor.intervals.canary),
  )
  let published: AlertsState | null = null
  let renderer: { readonly text: string; readonly renderAlert: RenderAlert } | null = null

  /** Relabels the current alerts when the external labels change. */
  const rendererFor = (context: AlertContext): RenderAlert => {
    const text = JSON.stringify(context)
    if (renderer?.text !== text) {
      renderer = { text, renderAlert: createAlertRenderer(context) }
      alerts = applyExternalLabels(
        alerts,
        context.labels,
        clock.now() / 1000,
        monotonicSeconds(),
      )
    }
    return renderer.renderAlert
  }
  const publishChanges = (settings: AlertSettings) => {
    const list = [
      ...[...alerts.active.values()].map(({ alert }) => alert),
      ...[...alerts.resolved.values()].map(({ alert }) => alert),
    ]
    const known = published?.list
    if (
      published?.externalUrl === settings.externalUrl &&
      known?.length === list.length &&
      list.every((alert, i) => alert === known[i])
    )
      return
    const changed = list.map(alertKey).join() !== known?.map(alertKey).join()
    published = { externalUrl: settings.externalUrl, list }
    // Persist before publishing, so that delivery can flush the state
    persist(changed)
    deps.publish(published)
  }
  const persist = (changed: boolean) =>
    deps.persistedState.write(
      () => ({
        alerts: serializeAlerts(alerts, monotonicSeconds()),
        increases: window.serialize(),
      }),
      changed,
    )

  return () => {
    const now = steadyClock()
    const settings = deps.settings()
    const snapshot = deps.read()
    const wallSeconds = clock.now() / 1000
    if (!settings.enable) {
      if (published) deps.publish(null)
      if (alerts.active.size > 0 || published) persist(true)
      published = null
      alerts = noAlerts
      return
    }
    const samples = deps.samples(snapshot, now)
    window.observe(samples, now)
    const renderAlert = rendererFor({
      labels: buildExternalLabels(settings),
      externalUrl: settings.externalUrl,
      forMultiplier: deps.forMultiplier ?? 1,
    })
    // While the self-check fails, no alert starts or resolves
    if (!snapshot.monitor.selfCheckFailed) {
      const sampleSet = createSampleSet(samples, now, family =>
        window.increase(family, now),
      )
      const previous = alerts
      const rules = alertRules.filter(
        ({ name }) => !settings.disabledAlerts.includes(name),
      )
      const inhibited = inhibitedAlerts(rules, sampleSet)
      const isFiring = ({ alert: { fingerprint } }: RuleMatch) =>
        previous.active.get(fingerprint)?.alert.state === 'firing'
      alerts = nextAlerts(alerts, {
        wallSeconds,
        monotonicSeconds: monotonicSeconds(),
        matches: rules
          .flatMap(rule =>
            rule.evaluate(sampleSet).map(sample => renderAlert(rule, sample)),
          )
          .filter(match => !inhibited.has(match.alert.name) || isFiring(match)),
        mayResolve: activeAlert =>
          (!inhibited.has(activeAlert.alert.name) ||
            activeAlert.alert.state !== 'firing') &&
          (!activeAlert.isRestored ||
            monotonicSeconds() - startedAt > maxRestoredSeconds ||
            (snapshot.monitor.ready && hasFreshData(sampleSet, activeAlert))),
      })
      logTransitions(log, previous, alerts)
    }
    publishChanges(settings)
    if (alerts.active.size > 0) persist(false)
  }
}

/** Returns the names of alerts that this machine causes by itself now. */
const inhibitedAlerts = (
  rules: readonly AlertRule[],
  samples: SampleSet,
): ReadonlySet<string> => {
  const client = rules.find(({ name }) => name === 'NixClientNotReady')
  return client && client.evaluate(samples).length > 0
    ? new Set(rules.filter(rule => rule.isInhibitedByClient).map(({ name }) => name))
    : new Set()
}

const alertKey = ({ fingerprint, state }: Alert): string => `${fingerprint}${state}`

/** Whether there is fresh data that could resolve the alert. Always true for a removed builder. */
const hasFreshData = (
  sampleSet: SampleSet,
  { alert, ruleLabels }: ActiveAlert,
): boolean => {
  const { builder } = ruleLabels
  if (builder !== undefined) {
    const unknown = sampleSet.selectValue('nix_builder_state', {
      builder,
      state: 'unknown',
    })
    if (unknown === undefined) return true
    if (unknown === 1 && alert.name !== 'NixBuilderUnknown') return false
  }
  const family = alertRules.find(({ name }) => name === alert.name)?.sourceFamily
  return (
    family === undefined ||
    sampleSet
      .select(family)
      .some(({ labels }) =>
        Object.entries(labels).every(([name, value]) => ruleLabels[name] === value),
      )
  )
}

/** Applies changed external labels: alerts resolve with the old labels and continue with the new ones. */
const applyExternalLabels = (
  { active, resolved }: TrackedAlerts,
  externalLabels: Labels,
  wallSeconds: number,
  monotonicSeconds: number,
): TrackedAlerts => {
  const nextResolved = new Map(resolved)
  let changed = false
  const nextActive = [...active].map(([id, activeAlert]): [string, ActiveAlert] => {
    const { alert, ruleLabels } = activeAlert
    const severity = alert.labels['severity'] ?? ''
    const labels = alertLabels(alert.name, severity, ruleLabels, externalLabels)
    const fingerprint = computeFingerprint(labels)
    if (fingerprint === id) return [id, activeAlert]
    changed = true
    if (alert.state === 'firing')
      nextResolved.set(id, {
        resolvedAt: monotonicSeconds,
        alert: resolveAlert(alert, wallSeconds),
      })
    return [fingerprint, { ...activeAlert, alert: { ...alert, labels, fingerprint } }]
  })
  return changed
    ? { active: new Map(nextActive), resolved: nextResolved }
    : { active, resolved }
}

/** Logs each alert that starts or stops firing. */
const logTransitions = (log: Log, before: TrackedAlerts, after: TrackedAlerts): void => {
  for (const [id, { alert }] of after.active)
    if (alert.state === 'firing' && before.active.get(id)?.alert.state !== 'firing')
      log.warn(logFields(alert), 'alert firing')
  for (const [id, { alert }] of after.resolved)
    if (before.resolved.get(id)?.alert !== alert)
      log.info(logFields(alert), 'alert resolved')
}

const logFields = ({ name, labels, annotations }: Alert) => ({
  alert: name,
  ...(labels['builder'] === undefined ? {} : { builder: labels['builder'] }),
  severity: labels['severity'],
  description: annotations['description'],
})
