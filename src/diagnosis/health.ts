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
import { diagnose, isVerified } from './diagnose.ts'
import { loginBackoffUntil } from './login-backoff.ts'

/** What the verdict needs to know beside the results. */
export interface HealthContext {
  /** Unix seconds. */
  readonly now: number
  /** While the monitor suspects itself, nobody becomes worse. */
  readonly selfCheckFailed: boolean
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** What is wrong with the builders list. */
  readonly problems: readonly Problem[]
  /** What the user told us to expect of this builder. */
  readonly expect: 'awake' | 'asleep' | 'drained'
  /** How long a builder may be short of space before that is news; garbage is collected in the meantime. */
  readonly belowMinFreeSeconds: number
}

/** Returns the health without debouncing, for `check`: one failed attempt is the answer. */
export const currentHealth = (
  state: BuilderState,
  now: number,
  problems: readonly Problem[],
  expect: HealthContext['expect'] = 'awake',
): Health => ({
  ...withExpectation(diagnose(state.probes, problems), expect),
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

/** A time-out may be a moment's congestion: three of them, not two. */
const timeoutKinds: ReadonlySet<Kind> = new Set<Kind>([
  'tcp_timeout',
  'banner_timeout',
  'kex_timeout',
  'daemon_frozen',
  'build_timeout',
])
/** What nobody may build on for a second longer. */
const immediateKinds: ReadonlySet<Kind> = new Set<Kind>([
  'host_key_changed',
  'host_key_mismatch',
  'host_key_revoked',
  'config_invalid',
])
/** Two failures within this time are one. */
const minFailureGapSeconds = 5
const flapWindowSeconds = 30 * 60
const flapChanges = 4
const flapQuietSeconds = 15 * 60

/** The damped verdict after a new result or the passing of time. Pure. */
export const nextHealth = (
  state: BuilderState,
  context: HealthContext,
): Pick<BuilderState, 'health' | 'changedAt'> => {
  const { health } = state
  const diagnosis = evaluateState(state, context)
  const changed = diagnosis.state !== health.state
  // The first verdict after the start is news to nobody
  const countsAsChange = changed && health.state !== 'unknown'
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

/** The age of a state that a restart of ours interrupted; null where it is another one now. */
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
  if (context.expect === 'drained') return { state: 'drained', cause: null }
  return isStale(state, context)
    ? { state: 'unknown', cause: null }
    : debounceState(state, context)
}

/** What a sleeping machine looks like from here. */
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
  const { probes, health } = state
  const { state: rawState, cause } = diagnose(probes, context.problems)
  const unchanged: Diagnosis = { state: health.state, cause: health.cause }
  const streak =
    cause && cause.probe !== 'config' ? probes[cause.probe]?.streak : undefined
  if (rawState === 'down' && cause) {
    if (context.expect === 'asleep' && looksOffline(cause))
      return { state: 'asleep', cause: null }
    if (health.state === 'down') return { state: 'down', cause }
    if (immediateKinds.has(cause.kind)) return { state: 'down', cause }
    const neededFailures = timeoutKinds.has(cause.kind) ? 3 : 2
    const isApart = context.now - (streak?.since ?? context.now) >= minFailureGapSeconds
    const isConfirmed =
      (streak !== undefined && !streak.ok && streak.count >= neededFailures && isApart) ||
      // Two ways to build, and neither does
      (cause.probe === 'canary' && isFailing(probes.direct))
    return isConfirmed && !context.selfCheckFailed ? { state: 'down', cause } : unchanged
  }
  if (health.state === 'down') {
    const login = probes.login?.streak
    const recovered =
      health.cause?.probe === 'config' || (login?.ok === true && login.count >= 2)
    return recovered ? applyGracePeriod(rawState, cause, context) : unchanged
  }
  // A login turned away by a busy sshd says nothing new
  if (rawState === 'unknown' && health.state !== 'unknown') return unchanged
  return applyGracePeriod(rawState, cause, context)
}

const isFailing = (record: ProbeRecord | undefined): boolean =>
  record !== undefined && !record.streak.ok && record.streak.count > 0

/** Short of space for less than an hour is the ordinary life of a builder that collects its garbage. */
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
