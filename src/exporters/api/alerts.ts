import type { Alert, View } from '../../model/index.ts'
import type { Exporter, Route } from '../exporter.ts'

/** GET /api/v1/alerts: what is pending and firing, in the shape of Prometheus' own API. */
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
