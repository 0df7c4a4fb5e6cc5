import { setTimeout as delay } from 'node:timers/promises'
import type { Route } from '../http/route.ts'

const type = 'text/plain; charset=utf-8'

/** Time between reloads that were requested over TCP. */
const reloadGapMs = 5000

/**
 * Reloads the configuration. Requires a request from this machine, a password or a client certificate. Requests over TCP
 * that come earlier than 5 seconds after the previous reload wait, and share one reload; the control socket does not wait.
 */
export const reloadRoute = (
  reload: () => Promise<readonly string[]>,
  gapMs = reloadGapMs,
): Route => {
  const paced = paceReloads(reload, gapMs)
  return {
    method: 'POST',
    path: '/-/reload',
    handle: async request => {
      if (!request.isLocal && !request.isAuthenticated)
        return {
          status: 403,
          type,
          body: 'reload requires a request from this machine, a password or a client certificate\n',
        }
      const errors = await (request.isControl ? reload() : paced())
      const body = `reload failed, the previous configuration stays active: ${errors.join('; ')}\n`
      return errors.length === 0
        ? { status: 200, type, body: 'reloaded\n' }
        : { status: 500, type, body }
    },
  }
}

const paceReloads = (
  reload: () => Promise<readonly string[]>,
  gapMs: number,
): (() => Promise<readonly string[]>) => {
  let allowedAt = 0
  let waiting: Promise<readonly string[]> | null = null
  const reloadLater = async () => {
    await delay(Math.max(0, allowedAt - performance.now()), undefined, { ref: false })
    waiting = null
    allowedAt = performance.now() + gapMs
    return reload()
  }
  return () => (waiting ??= reloadLater())
}

/** Sends a test alert to every receiver and returns the results. Only available on the control socket. */
export const testAlertRoute = (
  sendTestAlert: () => Promise<readonly unknown[]>,
): Route => ({
  method: 'POST',
  path: '/-/alert-test',
  handle: async request =>
    request.isControl
      ? {
          status: 200,
          type: 'application/json; charset=utf-8',
          body: JSON.stringify({ receivers: await sendTestAlert() }),
        }
      : { status: 403, type, body: 'only available on the control socket\n' },
})
