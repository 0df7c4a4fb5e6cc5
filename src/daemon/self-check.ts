import type { Log } from '../log/log.ts'
import type { Builder, Clock, Snapshot } from '../model/index.ts'
import type { Store } from '../state/store.ts'

export interface SelfCheckDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Requests a new login to a builder. */
  readonly recheck: (builder: Builder, delayMs: number) => void
}

/** Why failures may be caused by this machine instead of the builders. */
export type SelfCheckFailure = 'clock_jump' | 'event_loop_lag' | 'many_failed_at_once'

const tickMs = 1000
const recheckDelayMs = 5000
/** Upper limit of a pause, for builders that are not probed (drained, in a back-off). */
const maxPauseSeconds = 120

/**
 * Detects a suspended machine, a clock jump, a blocked event loop, and many failures at once. While the self-check fails,
 * no builder's health gets worse, and every builder is probed again. Also evaluates health once per second, because time
 * passes. Returns a stop function.
 */
export const startSelfCheck = ({
  store,
  clock,
  log,
  recheck,
}: SelfCheckDeps): (() => void) => {
  const conditions = createSelfCheckConditions()
  let failedSince: number | null = null
  const fail = (reason: SelfCheckFailure) => {
    log.warn({ reason }, 'self-check failed, changes of health are paused')
    failedSince = clock.now() / 1000
    store.updateMonitor({ selfCheckFailed: true })
    for (const { builder } of store.read().builders.values())
      recheck(builder, recheckDelayMs)
  }
  const onTick = () => {
    const failure = conditions.tick(clock.now(), clock.monotonic())
    if (failure) fail(failure)
    else if (
      failedSince !== null &&
      isRechecked(store.read(), failedSince, clock.now() / 1000)
    ) {
      failedSince = null
      store.updateMonitor({ selfCheckFailed: false })
    }
    store.tick()
  }
  const timer = setInterval(onTick, tickMs)
  let previous = store.read().builders
  const unsubscribe = store.subscribe(({ builders }, change) => {
    const before = previous
    previous = builders
    for (const name of change.builders) {
      const streak = builders.get(name)?.probes.login?.streak
      const wasOk = before.get(name)?.probes.login?.streak.ok
      // Only the first failure after a success: an old failure says nothing about this machine
      if (!streak || streak.ok || !wasOk || failedSince !== null) continue
      const failure = conditions.loginFailed(name, clock.monotonic(), builders.size)
      // Not inside the listener, which would publish out of order
      if (failure) queueMicrotask(() => fail(failure))
    }
  })
  return () => {
    clearInterval(timer)
    unsubscribe()
  }
}

const isRechecked = ({ builders }: Snapshot, since: number, now: number): boolean =>
  now - since > maxPauseSeconds ||
  [...builders.values()].every(
    ({ probes }) => !probes.login || probes.login.last.at > since + 4,
  )

export interface SelfCheckConditions {
  /** To be called once per second with wall and monotonic milliseconds. */
  tick(now: number, monotonic: number): SelfCheckFailure | null
  /** To be called with each login that failed after a success. `total` is the number of builders. */
  loginFailed(builder: string, monotonic: number, total: number): SelfCheckFailure | null
}

const maxLagMs = 1000
const maxJumpMs = 10_000
const failureWindowMs = 30_000

/**
 * Creates the conditions under which failures are attributed to this machine: a clock jump (also a resume from suspend), a
 * blocked event loop, and more than two and at least half of the builders failing within 30 seconds.
 */
export const createSelfCheckConditions = (): SelfCheckConditions => {
  let previous: { readonly now: number; readonly monotonic: number } | null = null
  const failedAt = new Map<string, number>()
  return {
    tick: (now, monotonic) => {
      const last = previous
      previous = { now, monotonic }
      if (!last) return null
      const elapsed = monotonic - last.monotonic
      // Suspend stops the monotonic clock but not the wall clock, so it is a jump as well
      if (Math.abs(now - last.now - elapsed) > maxJumpMs) return 'clock_jump'
      return elapsed - tickMs > maxLagMs ? 'event_loop_lag' : null
    },
    loginFailed: (builder, monotonic, total) => {
      for (const [name, at] of failedAt)
        if (monotonic - at > failureWindowMs) failedAt.delete(name)
      failedAt.set(builder, monotonic)
      return failedAt.size > 2 && failedAt.size >= total / 2
        ? 'many_failed_at_once'
        : null
    },
  }
}
