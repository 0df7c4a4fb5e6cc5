import type { Log } from '../log/log.ts'
import type { Builder, Clock, Snapshot } from '../model/index.ts'
import { createSelfCheck } from './self-check-conditions.ts'
import type { Store } from '../state/store.ts'

export interface SelfCheckDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Asks for a fresh login of a builder. */
  readonly recheck: (builder: Builder, delayMs: number) => void
}

const tickMs = 1000
const recheckDelayMs = 5000

/** However long a builder keeps us waiting (held back, drained), doubt ends. */
const maxSeconds = 120

/**
 * Watches ourselves: while in doubt verdicts hold, until every builder was looked at again. Lets time pass for the
 * verdicts, too. Runs until the returned function is called.
 */
export const startSelfCheck = ({
  store,
  clock,
  log,
  recheck,
}: SelfCheckDeps): (() => void) => {
  const selfCheck = createSelfCheck()
  let failedSince: number | null = null
  const fail = (why: string) => {
    log.warn({ why }, 'suspecting ourselves, verdicts hold')
    failedSince = clock.now() / 1000
    store.updateMonitor({ selfCheckFailed: true })
    for (const { builder } of store.read().builders.values())
      recheck(builder, recheckDelayMs)
  }
  const tick = setInterval(() => {
    const failure = selfCheck.tick(clock.now(), clock.monotonic())
    if (failure) fail(failure)
    else if (
      failedSince !== null &&
      isOver(store.read(), failedSince, clock.now() / 1000)
    ) {
      failedSince = null
      store.updateMonitor({ selfCheckFailed: false })
    }
    store.tick()
  }, tickMs)
  let before = store.read()
  const unsubscribe = store.subscribe(snapshot => {
    for (const [name, { probes }] of snapshot.builders) {
      const streak = probes.login?.streak
      const old = before.builders.get(name)?.probes.login?.streak
      // A first failure after a good login; those that were red before prove nothing about us
      if (!streak || streak.ok || !old?.ok || failedSince !== null) continue
      const failure = selfCheck.loginFailed(
        name,
        clock.monotonic(),
        snapshot.builders.size,
      )
      if (failure) queueMicrotask(() => fail(failure))
    }
    before = snapshot
  })
  return () => {
    clearInterval(tick)
    unsubscribe()
  }
}

const isOver = ({ builders }: Snapshot, since: number, now: number): boolean =>
  now - since > maxSeconds ||
  [...builders.values()].every(
    ({ probes }) => !probes.login || probes.login.last.at > since + 4,
  )
