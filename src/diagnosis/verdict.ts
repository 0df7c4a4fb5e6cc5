import type {
  BuilderState,
  Cause,
  Diagnosis,
  Problem,
  ProbeName,
  ProbeRecord,
  Verdict,
} from '../model.ts'
import { diagnose, isProven } from './diagnose.ts'
import type { Kind } from './kinds.ts'

/** What the verdict needs to know beside the results. */
export interface VerdictContext {
  /** Unix seconds. */
  readonly now: number
  /** While the monitor suspects itself, nobody becomes worse. */
  readonly hold: boolean
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** What is wrong with the builders list. */
  readonly problems: readonly Problem[]
  /** What the user told us to expect of this builder. */
  readonly expect: 'awake' | 'asleep' | 'drained'
  /** How long a builder may be short of space before that is news; garbage is collected in the meantime. */
  readonly belowMinFreeSeconds: number
}

/** The verdict of one sight, for `check`: one failed attempt of a rung is the answer. */
export const instantVerdict = (
  state: BuilderState,
  now: number,
  problems: readonly Problem[],
): Verdict => {
  const diagnosis = diagnose(state.probes, problems)
  return {
    ...diagnosis,
    since: now,
    changes: 0,
    flapping: false,
    proven: isProven(state.probes, 0),
  }
}

/** A time-out may be a moment's congestion: three of them, not two. */
const needsThree: ReadonlySet<Kind> = new Set<Kind>([
  'tcp_timeout',
  'banner_timeout',
  'kex_timeout',
  'daemon_frozen',
  'build_timeout',
])
/** What nobody may build on for a second longer. */
const atOnce: ReadonlySet<Kind> = new Set<Kind>([
  'host_key_changed',
  'host_key_mismatch',
  'host_key_revoked',
  'config_invalid',
])
/** Two failures within this time are one. */
const apartSeconds = 5
const flapWindowSeconds = 30 * 60
const flapChanges = 4
const quietSeconds = 15 * 60

/** The damped verdict after a new result or the passing of time. Pure. */
export const nextVerdict = (
  state: BuilderState,
  context: VerdictContext,
): Pick<BuilderState, 'verdict' | 'changedAt'> => {
  const { verdict } = state
  const diagnosis = judge(state, context)
  const changed = diagnosis.state !== verdict.state
  // The first verdict after the start is news to nobody
  const counts = changed && verdict.state !== 'unknown'
  const since = changed ? (sinceBefore(state, diagnosis) ?? context.now) : verdict.since
  const changedAt = [...state.changedAt, ...(counts ? [context.now] : [])]
    .filter(at => at > context.now - flapWindowSeconds)
    .slice(-20)
  const newest = changedAt.at(-1) ?? -Infinity
  const flapping = verdict.flapping
    ? newest > context.now - quietSeconds
    : counts && changedAt.length > flapChanges
  return {
    changedAt,
    verdict: {
      ...diagnosis,
      since,
      changes: verdict.changes + (changed ? 1 : 0),
      flapping,
      proven: isProven(
        state.probes,
        changed ? context.now : verdict.state === 'unknown' ? 0 : since,
      ),
    },
  }
}

/** The age of a state that a restart of ours interrupted; null where it is another one now. */
const sinceBefore = (
  { verdict, before }: BuilderState,
  { state, cause }: Diagnosis,
): number | null =>
  verdict.state === 'unknown' &&
  before?.state === state &&
  before.kind === (cause?.kind ?? null)
    ? before.since
    : null

const judge = (state: BuilderState, context: VerdictContext): Diagnosis => {
  if (context.expect === 'drained') return { state: 'drained', cause: null }
  return isStale(state, context)
    ? { state: 'unknown', cause: null }
    : damped(state, context)
}

/** What a sleeping machine looks like from here. */
const isSilence = ({ probe, kind }: Cause): boolean =>
  probe === 'login' &&
  (kind === 'tcp_timeout' || kind === 'tcp_unreachable' || kind === 'dns')

/** No login for three of its intervals: what we knew is no knowledge any more. */
const isStale = (
  { probes }: BuilderState,
  { now, intervals }: VerdictContext,
): boolean => {
  const login = probes.login
  return login !== undefined && now - login.last.at > 3 * intervals.login + 60
}

const damped = (state: BuilderState, context: VerdictContext): Diagnosis => {
  const { probes, verdict } = state
  const { state: seen, cause } = diagnose(probes, context.problems)
  const same: Diagnosis = { state: verdict.state, cause: verdict.cause }
  const streak =
    cause && cause.probe !== 'config' ? probes[cause.probe]?.streak : undefined
  if (seen === 'down' && cause) {
    if (context.expect === 'asleep' && isSilence(cause))
      return { state: 'asleep', cause: null }
    if (verdict.state === 'down') return { state: 'down', cause }
    if (atOnce.has(cause.kind)) return { state: 'down', cause }
    const needed = needsThree.has(cause.kind) ? 3 : 2
    const apart = context.now - (streak?.since ?? context.now) >= apartSeconds
    const sure =
      (streak !== undefined && !streak.good && streak.count >= needed && apart) ||
      // Two ways to build, and neither does
      (cause.probe === 'canary' && isRed(probes.direct))
    return sure && !context.hold ? { state: 'down', cause } : same
  }
  if (verdict.state === 'down') {
    const login = probes.login?.streak
    const recovered =
      verdict.cause?.probe === 'config' || (login?.good === true && login.count >= 2)
    return recovered ? calm(seen, cause, context) : same
  }
  // A login turned away by a busy sshd says nothing new
  if (seen === 'unknown' && verdict.state !== 'unknown') return same
  return calm(seen, cause, context)
}

const isRed = (record: ProbeRecord | undefined): boolean =>
  record !== undefined && !record.streak.good && record.streak.count > 0

/** Short of space for less than an hour is the ordinary life of a builder that collects its garbage. */
const calm = (
  seen: Diagnosis['state'],
  cause: Diagnosis['cause'],
  { now, belowMinFreeSeconds }: VerdictContext,
): Diagnosis => {
  if (seen === 'degraded' && cause?.kind === 'below_min_free') {
    const since = Number(cause.params['since'] ?? now)
    if (now - since < belowMinFreeSeconds) return { state: 'healthy', cause: null }
  }
  return { state: seen, cause }
}
