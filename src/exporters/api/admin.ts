import type { Route } from '../exporter.ts'
import type {
  createSendTestAlert,
  TestDelivery,
} from '../../alerts/delivery/send-test-alert.ts'

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
    const errors = await reload()
    const body = `not all is reloaded, what was stays: ${errors.join('; ')}\n`
    return errors.length === 0
      ? { status: 200, type, body: 'reloaded\n' }
      : { status: 500, type, body }
  },
})

export type SendTestAlert = ReturnType<typeof createSendTestAlert>

/** Tells every receiver a test alert, for who may use the control socket. */
export const testAlertRoute = (
  sendTestAlert: () => Promise<readonly TestDelivery[]>,
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
      : { status: 403, type, body: 'only by the control socket\n' },
})
