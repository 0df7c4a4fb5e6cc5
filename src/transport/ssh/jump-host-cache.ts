import { setTimeout as sleep } from 'node:timers/promises'

/** Shares the result of one login per jump host, so that a dead jump host is tried once for all builders behind it. */
export interface JumpHostCache<Failure> {
  /**
   * The first caller gets a function that it must call with the failure or null; later calls of it are ignored. Callers
   * until then wait for that result; they receive the failure, or a function without effect.
   */
  acquire(
    jumpHost: string,
  ): Promise<{ readonly failure: Failure } | ((failure: Failure | null) => void)>
}

/** Longer than a connect timeout, shorter than the limit of a login. */
const timeoutMs = 6000
/** How long a failure is reused: less than the minimum gap between two failures that health requires, so both are real. */
const failureTtlMs = 4000

interface JumpHostProbe<Failure> {
  readonly result: Promise<Failure | null>
  /** Monotonic milliseconds of the failure; null while the first caller is connecting. */
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
