import type { Route } from '../http/route.ts'

const type = 'text/plain; charset=utf-8'

/** Reloads the configuration. Requires a request from this machine, a password or a client certificate. */
export const reloadRoute = (reload: () => Promise<readonly string[]>): Route => ({
  method: 'POST',
  path: '/-/reload',
  handle: async request => {
    if (!request.isLocal && !request.isAuthenticated)
      return {
        status: 403,
        type,
        body: 'reload requires a request from this machine, a password or a client certificate\n',
      }
    const errors = await reload()
    const body = `reload failed, the previous configuration stays active: ${errors.join('; ')}\n`
    return errors.length === 0
      ? { status: 200, type, body: 'reloaded\n' }
      : { status: 500, type, body }
  },
})

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
