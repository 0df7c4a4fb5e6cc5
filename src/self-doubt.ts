import type { Log } from './log.ts'
import type { Builder, Clock, Snapshot } from './model.ts'
import { createSuspicion } from './state/suspicion.ts'
import type { Store } from './state/store.ts'

export interface SelfDoubtDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** Asks for a fresh login of a builder. */
  readonly lookAgain: (builder: Builder, delayMs: number) => void
}

const beatMs = 1000
const secondRoundMs = 5000

/** However long a builder keeps us waiting (held back, drained), doubt ends. */
const longestSeconds = 120

/**
 * Watches ourselves: while in doubt verdicts hold, until every builder was looked at again. Lets time pass for the
 * verdicts, too. Runs until the returned function is called.
 */
export const startSelfDoubt = ({
  store,
  clock,
  log,
  lookAgain,
}: SelfDoubtDeps): (() => void) => {
  const suspicion = createSuspicion()
  let doubtSince: number | null = null
  const doubt = (why: string) => {
    log.warn({ why }, 'suspecting ourselves, verdicts hold')
    doubtSince = clock.now() / 1000
    store.monitor({ suspect: true })
    for (const { builder } of store.read().builders.values())
      lookAgain(builder, secondRoundMs)
  }
  const beat = setInterval(() => {
    const found = suspicion.beat(clock.now(), clock.monotonic())
    if (found) doubt(found)
    else if (
      doubtSince !== null &&
      isOver(store.read(), doubtSince, clock.now() / 1000)
    ) {
      doubtSince = null
      store.monitor({ suspect: false })
    }
    store.tick()
  }, beatMs)
  let before = store.read()
  const unsubscribe = store.subscribe(snapshot => {
    for (const [name, { probes }] of snapshot.builders) {
      const streak = probes.login?.streak
      const old = before.builders.get(name)?.probes.login?.streak
      // A first failure after a good login; those that were red before prove nothing about us
      if (!streak || streak.good || !old?.good || doubtSince !== null) continue
      const found = suspicion.failed(name, clock.monotonic(), snapshot.builders.size)
      if (found) queueMicrotask(() => doubt(found))
    }
    before = snapshot
  })
  return () => {
    clearInterval(beat)
    unsubscribe()
  }
}

const isOver = ({ builders }: Snapshot, since: number, now: number): boolean =>
  now - since > longestSeconds ||
  [...builders.values()].every(
    ({ probes }) => !probes.login || probes.login.last.at > since + 4,
  )
