import { setTimeout as sleep } from 'node:timers/promises'

/** What the way over a jump host turned out to be: null where it can be gone. */
export interface JumpHostCache<Failure> {
  /**
   * Asks for the way. One goes first and tells (`null` or the fault, once; later calls are ignored); who comes meanwhile
   * waits for that, and gets the fault where there is one, so that a dead jump host is tried once for all behind it.
   */
  acquire(
    jumpHost: string,
  ): Promise<{ readonly failure: Failure } | ((failure: Failure | null) => void)>
}

/** Longer than a connect timeout, shorter than a builder behind the jump host may hang. */
const timeoutMs = 6000
/** How long a fault is believed: less than the verdict wants between two failures, so that each of them was seen. */
const failureTtlMs = 4000

interface JumpHostProbe<Failure> {
  readonly result: Promise<Failure | null>
  /** Monotonic milliseconds of the fault; null while the first is on its way. */
  readonly failedAt: number | null
}

export const createJumpHostCache = <Failure>(
  monotonic: () => number,
): JumpHostCache<Failure> => {
  const probes = new Map<string, JumpHostProbe<Failure>>()

  const startProbe = (jumpHost: string): ((failure: Failure | null) => void) => {
    let settle: (failure: Failure | null) => void = () => undefined
    const newProbe: JumpHostProbe<Failure> = {
      result: new Promise(resolve => (settle = resolve)),
      failedAt: null,
    }
    probes.set(jumpHost, newProbe)
    let isSettled = false
    return failure => {
      if (isSettled) return
      isSettled = true
      settle(failure)
      if (probes.get(jumpHost) !== newProbe) return
      if (failure === null) probes.delete(jumpHost)
      else probes.set(jumpHost, { result: newProbe.result, failedAt: monotonic() })
    }
  }

  return {
    acquire: async jumpHost => {
      const probe = probes.get(jumpHost)
      const isExpired =
        probe?.failedAt != null && monotonic() - probe.failedAt > failureTtlMs
      if (!probe || isExpired) return startProbe(jumpHost)
      const timer = new AbortController()
      const failure = await Promise.race([
        probe.result,
        sleep(timeoutMs, null, timer).catch(() => null),
      ])
      timer.abort()
      return failure === null ? () => undefined : { failure }
    },
  }
}
