import type { WebAccess } from '../../model/index.ts'

/**
 * A token bucket as exporter-toolkit's: full at first with `burst` tokens, one more each `intervalMs`. Answers whether a
 * request may pass at this moment (milliseconds that do not jump).
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
