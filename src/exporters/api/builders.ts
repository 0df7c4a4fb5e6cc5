import type { View } from '../../model/index.ts'
import { createReport } from '../../diagnosis/report.ts'
import type { Exporter, HttpResponse, Route } from '../exporter.ts'

const json = (status: number, value: unknown): HttpResponse => ({
  status,
  type: 'application/json; charset=utf-8',
  body: `${JSON.stringify(value, null, 1)}\n`,
})

/** The report as JSON (the same as `check --json`), and the two questions that supervisors ask. */
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
          body: ready ? 'ready\n' : 'the first round of checks is not over\n',
        }
      },
    },
  ],
}
