import { setTimeout as sleep } from 'node:timers/promises'

/** What the way over a jump host turned out to be: null where it can be gone. */
export interface Jumps<Fault> {
  /**
   * Asks for the way. One goes first and tells (`null` or the fault, once; later calls are ignored); who comes meanwhile
   * waits for that, and gets the fault where there is one, so that a dead jump host is tried once for all behind it.
   */
  enter(
    jump: string,
  ): Promise<{ readonly fault: Fault } | ((fault: Fault | null) => void)>
}

/** Longer than a connect timeout, shorter than a builder behind the jump host may hang. */
const patienceMs = 6000
/** How long a fault is believed: less than the verdict wants between two failures, so that each of them was seen. */
const memoryMs = 4000

interface Way<Fault> {
  readonly found: Promise<Fault | null>
  /** Monotonic milliseconds of the fault; null while the first is on its way. */
  readonly failedAt: number | null
}

export const createJumps = <Fault>(monotonic: () => number): Jumps<Fault> => {
  const ways = new Map<string, Way<Fault>>()

  const goFirst = (jump: string): ((fault: Fault | null) => void) => {
    let settle: (fault: Fault | null) => void = () => undefined
    const mine: Way<Fault> = {
      found: new Promise(resolve => (settle = resolve)),
      failedAt: null,
    }
    ways.set(jump, mine)
    let told = false
    return fault => {
      if (told) return
      told = true
      settle(fault)
      if (ways.get(jump) !== mine) return
      if (fault === null) ways.delete(jump)
      else ways.set(jump, { found: mine.found, failedAt: monotonic() })
    }
  }

  return {
    enter: async jump => {
      const way = ways.get(jump)
      const isOld = way?.failedAt != null && monotonic() - way.failedAt > memoryMs
      if (!way || isOld) return goFirst(jump)
      const timer = new AbortController()
      const fault = await Promise.race([
        way.found,
        sleep(patienceMs, null, timer).catch(() => null),
      ])
      timer.abort()
      return fault === null ? () => undefined : { fault }
    },
  }
}
