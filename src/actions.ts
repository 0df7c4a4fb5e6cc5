import type { Route } from './exporters/exporter.ts'
import type { createTellOnce, ToldOnce } from './exporters/notify/tell-once.ts'

/** What may be asked of a running daemon beyond looking at it, as routes. */

const type = 'text/plain; charset=utf-8'

/** Reads everything anew, for who is on this machine or has proven who they are. */
export const reloadRoute = (reload: () => Promise<readonly string[]>): Route => ({
  method: 'POST',
  path: '/-/reload',
  handle: async request => {
    if (!request.isLocal && !request.isAuthenticated)
      return {
        status: 403,
        type,
        body: 'only from this machine, with a password or with a client certificate\n',
      }
    const faults = await reload()
    const body = `not all is reloaded, what was stays: ${faults.join('; ')}\n`
    return faults.length === 0
      ? { status: 200, type, body: 'reloaded\n' }
      : { status: 500, type, body }
  },
})

export type TellOnce = ReturnType<typeof createTellOnce>

/** Tells every receiver a test alert, for who may use the control socket. */
export const testAlertRoute = (tell: () => Promise<readonly ToldOnce[]>): Route => ({
  method: 'POST',
  path: '/-/alert-test',
  handle: async request =>
    request.isControl
      ? {
          status: 200,
          type: 'application/json; charset=utf-8',
          body: JSON.stringify({ receivers: await tell() }),
        }
      : { status: 403, type, body: 'only by the control socket\n' },
})
