import type { Kind } from './kind.ts'

/** Longer reasons and names of users are cut, characters. */
export const maxDrainReason = 500
export const maxDrainUser = 100

/** A person keeps builds away from a builder. Times are Unix seconds. */
export interface Drain {
  /** The user who asked for it, or `configuration`. */
  readonly by: string
  readonly reason: string | null
  readonly since: number
  /** Null without an end. */
  readonly until: number | null
}

/** Why a builder that fails stays in service. `floor`: no other builder has its systems and features. `share`: too many are quarantined. */
export const retainReasons = ['floor', 'share'] as const
export type RetainReason = (typeof retainReasons)[number]

/** The monitor keeps builds away from a builder that fails, until a build verifies it. */
export interface Quarantine {
  /** `probation`: in service again; another failure within 30 minutes quarantines it for longer. */
  readonly phase: 'quarantined' | 'probation'
  /** Start of the phase, Unix seconds. */
  readonly since: number
  /** What was wrong when it was quarantined. */
  readonly kind: Kind
  /** Not released before, Unix seconds: it failed again soon after a release. */
  readonly notBefore: number
  /** Quarantines in a row, each within 30 minutes after a release. */
  readonly count: number
  /** Null when nothing prevents the quarantine. */
  readonly retainedBy: RetainReason | null
}

/** Slots of a builder that are held, so that Nix sends no build. */
export interface Hold {
  /** Slot locks that are held. */
  readonly held: number
  /** Slots that a running build uses: they are held when it ends. */
  readonly running: number
  /** Slot locks in total. */
  readonly total: number
  /** Why a slot cannot be held. Absent when all can. */
  readonly problem?: string
}

/**
 * Why all builders stay in service. `panic`: more than half of them fail. `holder`: nothing can hold slots. `self_check`: the
 * monitor does not trust its own results.
 */
export const releaseReasons = ['panic', 'holder', 'self_check'] as const
export type ReleaseReason = (typeof releaseReasons)[number]

/** The quarantine of the whole fleet. */
export interface QuarantineState {
  /** `dryRun`: only reports what it would do. */
  readonly mode: 'off' | 'dryRun' | 'on'
  /** Null unless all builders are released. */
  readonly released: ReleaseReason | null
  /** Why slots cannot be held; null when they can, or when there is nothing to hold. */
  readonly unavailable: string | null
  /** Quarantines since the start, by kind. */
  readonly countByKind: Readonly<Partial<Record<Kind, number>>>
}
