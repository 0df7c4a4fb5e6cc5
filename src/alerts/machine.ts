import type { Alert } from '../model.ts'
import type { Labels } from './labels.ts'

/** What a condition yields now, dressed as an alert. */
export interface Holding {
  readonly alert: Pick<
    Alert,
    'name' | 'labels' | 'annotations' | 'value' | 'fingerprint' | 'generatorUrl'
  >
  /** The labels that the condition gave, without those of this monitor. */
  readonly inner: Labels
  /** How long it must hold before it fires, seconds. */
  readonly forSeconds: number
}

/** A pending or firing alert. */
export interface Tracked {
  readonly alert: Alert
  readonly inner: Labels
  /** Steady seconds. */
  readonly heldSince: number
  /** Evaluations in a row that did not yield it. */
  readonly missed: number
  /** True from a restart until its condition was seen to hold again. */
  readonly isRestored: boolean
}

/** An alert that was firing and is over. */
export interface Ended {
  readonly alert: Alert
  /** Steady seconds. */
  readonly at: number
}

/** Both by fingerprint; one that ended may be pending again. */
export interface Alerts {
  readonly active: ReadonlyMap<string, Tracked>
  readonly ended: ReadonlyMap<string, Ended>
}

export const noAlerts: Alerts = { active: new Map(), ended: new Map() }

export interface Turn {
  /** Unix seconds, for people; may jump. */
  readonly wall: number
  /** Seconds that never jump, for durations. */
  readonly steady: number
  readonly holdings: readonly Holding[]
  /** False where nothing was measured that could end the alert. */
  readonly mayEnd: (tracked: Tracked) => boolean
}

/**
 * Evaluations that may miss an alert before it is over. Two: a measurement that grew old just before its next one came,
 * and the one after it; a third is no gap but an answer.
 */
export const missesAllowed = 2

/** How long an alert that is over is still told, seconds. */
export const endedForSeconds = 300

/** inactive -> pending -> firing -> over. The next alerts; what did not change is the same object. */
export const step = ({ active, ended }: Alerts, turn: Turn): Alerts => {
  const { wall, steady } = turn
  const nextActive = new Map<string, Tracked>()
  const nextEnded = new Map(
    [...ended].filter(([, { at }]) => steady - at <= endedForSeconds),
  )
  const holding = new Map(turn.holdings.map(one => [one.alert.fingerprint, one]))
  for (const [id, tracked] of active) {
    if (holding.has(id)) continue
    if (!turn.mayEnd(tracked)) nextActive.set(id, tracked)
    else if (tracked.missed < missesAllowed)
      nextActive.set(id, { ...tracked, missed: tracked.missed + 1 })
    else if (tracked.alert.state === 'firing')
      nextEnded.set(id, { at: steady, alert: over(tracked.alert, wall) })
  }
  for (const [id, one] of holding) {
    const next = held(active.get(id), one, turn)
    nextActive.set(id, next)
    if (next.alert.state === 'firing') nextEnded.delete(id)
  }
  return { active: nextActive, ended: nextEnded }
}

export const over = (alert: Alert, wall: number): Alert => ({
  ...alert,
  state: 'resolved',
  endsAt: Math.max(wall, alert.startsAt ?? wall),
})

const held = (
  before: Tracked | undefined,
  { alert, inner, forSeconds }: Holding,
  { wall, steady }: Turn,
): Tracked => {
  const heldSince = before?.heldSince ?? steady
  const wasFiring = before?.alert.state === 'firing'
  const fires = wasFiring || steady - heldSince >= forSeconds
  const next: Alert = {
    ...alert,
    state: fires ? 'firing' : 'pending',
    activeAt: before?.alert.activeAt ?? wall,
    startsAt: wasFiring ? before.alert.startsAt : fires ? wall : null,
    endsAt: null,
  }
  return {
    alert: before && isSame(before.alert, next) ? before.alert : next,
    inner,
    heldSince,
    missed: 0,
    isRestored: false,
  }
}

const isSame = (a: Alert, b: Alert): boolean =>
  a.state === b.state &&
  a.value === b.value &&
  a.generatorUrl === b.generatorUrl &&
  a.annotations['description'] === b.annotations['description']
