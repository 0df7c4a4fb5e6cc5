import type { Alert } from '../model/index.ts'
import type { Labels } from './labels.ts'

/** A match of a rule, rendered as an alert. */
export interface RuleMatch {
  readonly alert: Pick<
    Alert,
    'name' | 'labels' | 'annotations' | 'value' | 'fingerprint' | 'generatorUrl'
  >
  /** Labels of the match, without the external labels of this monitor. */
  readonly ruleLabels: Labels
  /** Time the rule must match before the alert fires. */
  readonly forSeconds: number
}

/** A pending or firing alert. */
export interface ActiveAlert {
  readonly alert: Alert
  readonly ruleLabels: Labels
  /** Monotonic seconds. */
  readonly matchingSince: number
  /** Consecutive evaluations without a match. */
  readonly missed: number
  /** True after a restart until the rule matches again. */
  readonly isRestored: boolean
}

/** An alert that has stopped firing. */
export interface ResolvedAlert {
  readonly alert: Alert
  /** Monotonic seconds. */
  readonly resolvedAt: number
}

/** Alerts by fingerprint. A resolved alert may also be pending again. */
export interface TrackedAlerts {
  readonly active: ReadonlyMap<string, ActiveAlert>
  readonly resolved: ReadonlyMap<string, ResolvedAlert>
}

export const noAlerts: TrackedAlerts = { active: new Map(), resolved: new Map() }

export interface Evaluation {
  /** Unix seconds for timestamps; may jump. */
  readonly wallSeconds: number
  /** For durations. */
  readonly monotonicSeconds: number
  readonly matches: readonly RuleMatch[]
  /** False when there is no fresh data that could resolve the alert. */
  readonly mayResolve: (activeAlert: ActiveAlert) => boolean
}

/**
 * Evaluations without a match before a firing alert resolves. Two, because a measurement can expire just before the next
 * one arrives.
 */
export const keepFiringEvaluations = 2

/** Resolved alerts stay in the list for this time. */
export const resolvedRetentionSeconds = 300

/** Returns the next alerts: inactive -> pending -> firing -> resolved. Unchanged alerts keep their identity. */
export const nextAlerts = (
  { active, resolved }: TrackedAlerts,
  evaluation: Evaluation,
): TrackedAlerts => {
  const { wallSeconds, monotonicSeconds } = evaluation
  const nextActive = new Map<string, ActiveAlert>()
  const nextResolved = new Map(
    [...resolved].filter(
      ([, { resolvedAt }]) => monotonicSeconds - resolvedAt <= resolvedRetentionSeconds,
    ),
  )
  const matchesById = new Map(
    evaluation.matches.map(match => [match.alert.fingerprint, match]),
  )
  for (const [id, activeAlert] of active) {
    if (matchesById.has(id)) continue
    if (!evaluation.mayResolve(activeAlert)) nextActive.set(id, activeAlert)
    else if (activeAlert.missed < keepFiringEvaluations)
      nextActive.set(id, { ...activeAlert, missed: activeAlert.missed + 1 })
    else if (activeAlert.alert.state === 'firing')
      nextResolved.set(id, {
        resolvedAt: monotonicSeconds,
        alert: resolveAlert(activeAlert.alert, wallSeconds),
      })
  }
  for (const [id, match] of matchesById) {
    const next = nextActiveAlert(active.get(id), match, evaluation)
    nextActive.set(id, next)
    if (next.alert.state === 'firing') nextResolved.delete(id)
  }
  return { active: nextActive, resolved: nextResolved }
}

export const resolveAlert = (alert: Alert, wallSeconds: number): Alert => ({
  ...alert,
  state: 'resolved',
  endsAt: Math.max(wallSeconds, alert.startsAt ?? wallSeconds),
})

const nextActiveAlert = (
  previous: ActiveAlert | undefined,
  { alert, ruleLabels, forSeconds }: RuleMatch,
  { wallSeconds, monotonicSeconds }: Evaluation,
): ActiveAlert => {
  const matchingSince = previous?.matchingSince ?? monotonicSeconds
  const wasFiring = previous?.alert.state === 'firing'
  const fires = wasFiring || monotonicSeconds - matchingSince >= forSeconds
  const next: Alert = {
    ...alert,
    state: fires ? 'firing' : 'pending',
    activeAt: previous?.alert.activeAt ?? wallSeconds,
    startsAt: wasFiring ? previous.alert.startsAt : fires ? wallSeconds : null,
    endsAt: null,
  }
  return {
    alert: previous && isSameAlert(previous.alert, next) ? previous.alert : next,
    ruleLabels,
    matchingSince,
    missed: 0,
    isRestored: false,
  }
}

const isSameAlert = (a: Alert, b: Alert): boolean =>
  a.state === b.state &&
  a.value === b.value &&
  a.generatorUrl === b.generatorUrl &&
  a.annotations['description'] === b.annotations['description']
