import type { WebAccess } from '../../model/index.ts'

/**
 * Creates a token bucket like exporter-toolkit's: starts with `burst` tokens and gets one more each `intervalMs`. The
 * function returns whether a request is allowed at this monotonic time.
 */
export const createRateLimit = (): ((
  limit: WebAccess['rateLimit'],
  nowMs: number,
) => boolean) => {
  let tokens = 0
  let at = 0
  let last: WebAccess['rateLimit'] = null
  return (limit, nowMs) => {
    if (limit === null) return true
    if (limit.intervalMs !== last?.intervalMs || limit.burst !== last.burst) {
      tokens = limit.burst
      at = nowMs
      last = limit
    }
    tokens = Math.min(limit.burst, tokens + (nowMs - at) / limit.intervalMs)
    at = nowMs
    if (tokens < 1) return false
    tokens -= 1
    return true
  }
}
