/** Doubts about ourselves: after any of them red results may be our own fault. */
export type SelfCheckFailure = 'clock_jump' | 'event_loop_lag' | 'many_failed_at_once'

export interface SelfCheck {
  /** To be called every second with wall and monotonic milliseconds. */
  tick(now: number, monotonic: number): SelfCheckFailure | null
  /** To be called with each login that failed after a good one; `total` is the number of builders. */
  loginFailed(builder: string, monotonic: number, total: number): SelfCheckFailure | null
}

const tickMs = 1000
const lagMs = 1000
const jumpMs = 10_000
const windowMs = 30_000

/**
 * Notices a resume from suspend, a changed clock, a starved event loop, and that half of the builders (and more than
 * two) fail within 30 seconds, which is more likely our network than theirs.
 */
export const createSelfCheck = (): SelfCheck => {
  let before: { now: number; monotonic: number } | null = null
  const failures = new Map<string, number>()
  return {
    tick: (now, monotonic) => {
      const last = before
      before = { now, monotonic }
      if (!last) return null
      const elapsed = monotonic - last.monotonic
      // Suspend stops the monotonic clock and not the wall clock, so it shows as a jump too
      if (Math.abs(now - last.now - elapsed) > jumpMs) return 'clock_jump'
      return elapsed - tickMs > lagMs ? 'event_loop_lag' : null
    },
    loginFailed: (builder, monotonic, total) => {
      for (const [name, at] of failures)
        if (monotonic - at > windowMs) failures.delete(name)
      failures.set(builder, monotonic)
      return failures.size > 2 && failures.size >= total / 2
        ? 'many_failed_at_once'
        : null
    },
  }
}
