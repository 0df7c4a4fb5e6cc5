import type {
  BuilderState,
  Cause,
  Diagnosis,
  Problem,
  ProbeName,
  ProbeRecord,
  Health,
  Kind,
} from '../model/index.ts'
import { diagnose, isClientTrouble, isVerified } from './diagnose.ts'
import { loginBackoffUntil } from './login-backoff.ts'
import { isTimeout } from './timeouts.ts'

/** Everything except probe results that decides health. */
export interface HealthContext {
  /** Unix seconds. */
  readonly now: number
  /** While true, no builder's health gets worse. */
  readonly selfCheckFailed: boolean
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** Errors in the builders list. */
  readonly problems: readonly Problem[]
  /** Configured for this builder. */
  readonly expect: 'awake' | 'asleep' | 'drained'
  /** A builder below its min-free is degraded only after this time, because Nix collects garbage in the meantime. */
  readonly belowMinFreeSeconds: number
}

/** Returns the health without debouncing, for `check`: one failed attempt is the answer. */
export const currentHealth = (
  state: BuilderState,
  now: number,
  problems: readonly Problem[],
  expect: HealthContext['expect'] = 'awake',
): Health => ({
  ...withExpectation(diagnose(state.probes, problems, state.builder), expect),
  since: now,
  changes: 0,
  flapping: false,
  verified: isVerified(state.probes, 0),
})

/** A drained builder has no cause. One that may sleep is asleep when it looks offline. */
const withExpectation = (
  diagnosis: Diagnosis,
  expect: HealthContext['expect'],
): Diagnosis => {
  if (expect === 'drained') return { state: 'drained', cause: null }
  return expect === 'asleep' && diagnosis.cause && looksOffline(diagnosis.cause)
    ? { state: 'asleep', cause: null }
    : diagnosis
}

/** Kinds that need only one failure, because builds must not continue. */
const immediateKinds: ReadonlySet<Kind> = new Set<Kind>([
  'host_key_changed',
  'host_key_mismatch',
  'host_key_revoked',
  'config_invalid',
  'same_store',
])
/** Probes whose timeouts are repeated with the hard deadline before they are recorded. */
const repeatedProbes: ReadonlySet<Cause['probe']> = new Set<Cause['probe']>([
  'login',
  'trust',
])
/** Failures closer together than this count as one. */
const minFailureGapSeconds = 5
const flapWindowSeconds = 30 * 60
const flapChanges = 4
const flapQuietSeconds = 15 * 60

/** Returns the debounced health after a new result or a second has passed. Pure. */
export const nextHealth = (
  state: BuilderState,
  context: HealthContext,
): Pick<BuilderState, 'health' | 'changedAt'> => {
  const { health } = state
  const diagnosis = evaluateState(state, context)
  const changed = diagnosis.state !== health.state
  const countsAsChange =
    changed && isObserved(health.state) && isObserved(diagnosis.state)
  const since = changed
    ? (sinceBeforeRestart(state, diagnosis) ?? context.now)
    : health.since
  const changedAt = [...state.changedAt, ...(countsAsChange ? [context.now] : [])]
    .filter(at => at > context.now - flapWindowSeconds)
    .slice(-20)
  const lastChangeAt = changedAt.at(-1) ?? -Infinity
  const flapping = health.flapping
    ? lastChangeAt > context.now - flapQuietSeconds
    : countsAsChange && changedAt.length > flapChanges
  return {
    changedAt,
    health: {
      ...diagnosis,
      since,
      changes: health.changes + (changed ? 1 : 0),
      flapping,
      verified: isVerified(
        state.probes,
        changed ? context.now : health.state === 'unknown' ? 0 : since,
      ),
    },
  }
}

/** The first health after the start is no change, and neither is a builder that could not be asked, or that is drained. */
const isObserved = (state: Health['state']): boolean =>
  state !== 'unknown' && state !== 'drained'

/** Returns when the state began before the monitor's restart; null if the state or cause is different now. */
const sinceBeforeRestart = (
  { health, previousRun }: BuilderState,
  { state, cause }: Diagnosis,
): number | null =>
  health.state === 'unknown' &&
  previousRun?.state === state &&
  previousRun.kind === (cause?.kind ?? null)
    ? previousRun.since
    : null

const evaluateState = (state: BuilderState, context: HealthContext): Diagnosis => {
  if (context.expect === 'drained' || state.drain)
    return { state: 'drained', cause: null }
  return isStale(state, context)
    ? { state: 'unknown', cause: null }
    : debounceState(withoutDrain(state), context)
}

/** A builder whose drain has ended is not known until a result says what it is. */
const withoutDrain = (state: BuilderState): BuilderState =>
  state.health.state === 'drained'
    ? { ...state, health: { ...state.health, state: 'unknown', cause: null } }
    : state

/** Returns whether a machine that sleeps would fail this way. */
const looksOffline = ({ probe, kind }: Cause): boolean =>
  probe === 'login' &&
  (kind === 'tcp_timeout' || kind === 'tcp_unreachable' || kind === 'dns')

/**
 * True when the newest login is older than three intervals. While a back-off delays logins on purpose, the intervals
 * count from its end.
 */
const isStale = (state: BuilderState, { now, intervals }: HealthContext): boolean => {
  const login = state.probes.login
  if (!login) return false
  const expectedSince = Math.max(login.last.at, loginBackoffUntil(state))
  return now - expectedSince > 3 * intervals.login + 60
}

const debounceState = (state: BuilderState, context: HealthContext): Diagnosis => {
  const { builder, probes, health } = state
  const { state: rawState, cause } = diagnose(probes, context.problems, builder)
  // No debouncing: nothing was asked of the builder
  if (
    probes.login &&
    isClientTrouble(probes.login.last.outcome) &&
    rawState === 'unknown'
  )
    return { state: 'unknown', cause }
  const unchanged: Diagnosis = { state: health.state, cause: health.cause }
  const streak =
    cause && cause.probe !== 'config' ? probes[cause.probe]?.streak : undefined
  if (rawState === 'down' && cause) {
    if (context.expect === 'asleep' && looksOffline(cause))
      return { state: 'asleep', cause: null }
    if (health.state === 'down') return { state: 'down', cause }
    if (immediateKinds.has(cause.kind)) return { state: 'down', cause }
    // A recorded timeout of these is the second one already, after the time that Nix would wait
    const isRepeated =
      cause.probe !== 'config' &&
      repeatedProbes.has(cause.probe) &&
      isTimeout(probes[cause.probe]?.conclusive?.outcome)
    const isApart = context.now - (streak?.since ?? context.now) >= minFailureGapSeconds
    const isConfirmed =
      isRepeated ||
      (streak !== undefined && !streak.ok && streak.count >= 2 && isApart) ||
      // Both ways to build fail
      (cause.probe === 'canary' && isFailing(probes.direct))
    return isConfirmed && !context.selfCheckFailed ? { state: 'down', cause } : unchanged
  }
  if (health.state === 'down') {
    const login = probes.login?.streak
    const recovered =
      health.cause?.probe === 'config' || (login?.ok === true && login.count >= 2)
    return recovered ? applyGracePeriod(rawState, cause, context) : unchanged
  }
  // A login that a busy sshd rejects is inconclusive
  if (rawState === 'unknown' && health.state !== 'unknown') return unchanged
  return applyGracePeriod(rawState, cause, context)
}

const isFailing = (record: ProbeRecord | undefined): boolean =>
  record !== undefined && !record.streak.ok && record.streak.count > 0

/** Ignores `below_min_free` for `belowMinFreeSeconds`, because garbage collection makes it normal. */
const applyGracePeriod = (
  rawState: Diagnosis['state'],
  cause: Diagnosis['cause'],
  { now, belowMinFreeSeconds }: HealthContext,
): Diagnosis => {
  if (rawState === 'degraded' && cause?.kind === 'below_min_free') {
    const since = Number(cause.params['since'] ?? now)
    if (now - since < belowMinFreeSeconds) return { state: 'healthy', cause: null }
  }
  return { state: rawState, cause }
}
