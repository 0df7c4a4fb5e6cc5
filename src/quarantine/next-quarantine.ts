import type { BuilderState, Kind, Quarantine, ReleaseReason } from '../model/index.ts'
import { findFault, isVerifiedSince } from './find-fault.ts'
import { applyFloors, isPanic } from './floors.ts'

/** Everything except the state of the builders that decides. */
export interface QuarantineContext {
  /** Unix seconds. */
  readonly now: number
  /** True while the monitor does not trust its own results. */
  readonly isSelfCheckFailing: boolean
  /** Whether builds of this machine move on a builder, so that a timeout is not believed. */
  readonly makesProgress: (name: string) => boolean
  /** Whether builds verify a builder: canaries are enabled for it. */
  readonly canVerify: (name: string) => boolean
}

export interface QuarantineDecision {
  readonly quarantines: ReadonlyMap<string, Quarantine>
  /** Why no builder is quarantined now; null when that is not so. */
  readonly released: ReleaseReason | null
}

/** A builder that fails again this soon after its release waits longer, seconds. */
const probationSeconds = 30 * 60
const maxWaitSeconds = 30 * 60

/** Returns the additional wait of the nth quarantine in a row: none, 1, 2, 4 ... 30 minutes. */
const waitSeconds = (count: number): number =>
  count < 2 ? 0 : Math.min(maxWaitSeconds, 60 * 2 ** (count - 2))

/**
 * Returns which builders are quarantined after a change of their results, or after time has passed: in service ->
 * quarantined -> probation -> in service. Pure.
 */
export const nextQuarantine = (
  builders: ReadonlyMap<string, BuilderState>,
  context: QuarantineContext,
): QuarantineDecision => {
  const available = [...builders.values()].filter(
    state => !state.drain && state.health.state !== 'drained',
  )
  const next = new Map<string, Quarantine>()
  for (const state of available) {
    const quarantine = nextPhase(state, context)
    if (quarantine) next.set(state.builder.name, quarantine)
  }
  const failing = [...next]
    .filter(([, { phase }]) => phase === 'quarantined')
    // Who is quarantined stays so: another order would release and quarantine by turns
    .sort(([, a], [, b]) => rank(a) - rank(b) || a.since - b.since)
    .map(([name]) => name)
  const retained = applyFloors(
    failing,
    available.map(({ builder }) => builder),
  )
  for (const [name, retainedBy] of retained) {
    const quarantine = next.get(name)
    if (quarantine) next.set(name, { ...quarantine, retainedBy })
  }
  return {
    quarantines: next,
    released: context.isSelfCheckFailing
      ? 'self_check'
      : isPanic(failing.length, available.length)
        ? 'panic'
        : null,
  }
}

const rank = ({ retainedBy }: Quarantine): number => (retainedBy === null ? 0 : 1)

/** Returns the quarantine of one builder, or null for one in service. */
const nextPhase = (
  state: BuilderState,
  { now, isSelfCheckFailing, makesProgress, canVerify }: QuarantineContext,
): Quarantine | null => {
  const { name } = state.builder
  const current = state.quarantine ?? null
  // The clock was set back: the wait starts again
  const before =
    current && current.since > now
      ? { ...current, since: now, notBefore: now + waitSeconds(current.count) }
      : current
  if (before?.phase === 'quarantined') {
    const isReleased =
      now >= before.notBefore &&
      isVerifiedSince(state, before.since, canVerify(name)) &&
      findFault(state, makesProgress(name)) === null
    return isReleased
      ? { ...before, phase: 'probation', since: now, retainedBy: null }
      : before
  }
  const kind: Kind | null = isSelfCheckFailing
    ? null
    : findFault(state, makesProgress(name))
  if (kind) {
    const count = (before?.count ?? 0) + 1
    const notBefore = now + waitSeconds(count)
    // Not retained until the floors are applied; ranked behind those that are quarantined already
    return {
      phase: 'quarantined',
      since: now,
      kind,
      notBefore,
      count,
      retainedBy: 'share',
    }
  }
  return before && now - before.since < probationSeconds ? before : null
}
