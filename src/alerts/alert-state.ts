import type { Alert } from '../model/index.ts'
import type { Labels } from './labels.ts'

/** What a condition yields now, dressed as an alert. */
export interface RuleMatch {
  readonly alert: Pick<
    Alert,
    'name' | 'labels' | 'annotations' | 'value' | 'fingerprint' | 'generatorUrl'
  >
  /** The labels that the condition gave, without those of this monitor. */
  readonly ruleLabels: Labels
  /** How long it must hold before it fires, seconds. */
  readonly forSeconds: number
}

/** A pending or firing alert. */
export interface ActiveAlert {
  readonly alert: Alert
  readonly ruleLabels: Labels
  /** Steady seconds. */
  readonly matchingSince: number
  /** Evaluations in a row that did not yield it. */
  readonly missed: number
  /** True from a restart until its condition was seen to hold again. */
  readonly isRestored: boolean
}

/** An alert that was firing and is over. */
export interface ResolvedAlert {
  readonly alert: Alert
  /** Steady seconds. */
  readonly resolvedAt: number
}

/** Both by fingerprint; one that ended may be pending again. */
export interface TrackedAlerts {
  readonly active: ReadonlyMap<string, ActiveAlert>
  readonly resolved: ReadonlyMap<string, ResolvedAlert>
}

export const noAlerts: TrackedAlerts = { active: new Map(), resolved: new Map() }

export interface Evaluation {
  /** Unix seconds, for people; may jump. */
  readonly wallSeconds: number
  /** Seconds that never jump, for durations. */
  readonly monotonicSeconds: number
  readonly matches: readonly RuleMatch[]
  /** False where nothing was measured that could end the alert. */
  readonly mayResolve: (activeAlert: ActiveAlert) => boolean
}

/**
 * Evaluations that may miss an alert before it is over. Two: a measurement that grew old just before its next one came,
 * and the one after it; a third is no gap but an answer.
 */
export const keepFiringEvaluations = 2

/** How long an alert that is over is still told, seconds. */
export const resolvedRetentionSeconds = 300

/** inactive -> pending -> firing -> over. The next alerts; what did not change is the same object. */
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
  const matchesById = new Map(evaluation.matches.map(one => [one.alert.fingerprint, one]))
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
  for (const [id, one] of matchesById) {
    const next = nextActiveAlert(active.get(id), one, evaluation)
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
