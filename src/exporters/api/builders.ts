import type { View } from '../../model/index.ts'
import { createReport } from '../../diagnosis/report.ts'
import type { Exporter } from '../exporter.ts'
import type { HttpResponse, Route } from '../http/route.ts'

const json = (status: number, value: unknown): HttpResponse => ({
  status,
  type: 'application/json; charset=utf-8',
  body: `${JSON.stringify(value, null, 1)}\n`,
})

/** Serves the report as JSON (as `check --json` prints it), liveness and readiness. */
export const apiExporter: Exporter = {
  name: 'api',
  routes: (view: View): readonly Route[] => [
    {
      method: 'GET',
      path: '/api/v1/builders',
      handle: () => json(200, createReport(view.read())),
    },
    {
      method: 'GET',
      path: '/-/healthy',
      handle: () => ({ status: 200, type: 'text/plain; charset=utf-8', body: 'alive\n' }),
    },
    {
      method: 'GET',
      path: '/-/ready',
      handle: () => {
        const { ready } = view.read().monitor
        return {
          status: ready ? 200 : 503,
          type: 'text/plain; charset=utf-8',
          body: ready ? 'ready\n' : 'not all builders have been probed yet\n',
        }
      },
    },
  ],
}
