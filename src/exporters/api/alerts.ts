import type { Alert, View } from '../../model/index.ts'
import type { Exporter } from '../exporter.ts'
import type { Route } from '../http/route.ts'

/** Serves GET /api/v1/alerts: pending and firing alerts in the format of the Prometheus API. */
export const alertsApiExporter: Exporter = {
  name: 'alerts api',
  routes: (view: View): readonly Route[] => [
    {
      method: 'GET',
      path: '/api/v1/alerts',
      handle: () => ({
        status: 200,
        type: 'application/json; charset=utf-8',
        body: `${JSON.stringify({
          status: 'success',
          data: {
            alerts: (view.read().alerts?.list ?? [])
              .filter(({ state }) => state !== 'resolved')
              .map(toApiAlert),
          },
        })}\n`,
      }),
    },
  ],
}

const toApiAlert = ({ labels, annotations, state, activeAt, value }: Alert) => ({
  labels,
  annotations,
  state,
  activeAt: new Date(activeAt * 1000).toISOString(),
  value: String(value),
})
