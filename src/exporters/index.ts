import { createAlertmanagerDelivery } from '../alerts/delivery/alertmanager.ts'
import { alertsApiExporter } from './api/alerts.ts'
import { apiExporter } from './api/builders.ts'
import type { Exporter } from './exporter.ts'
import { createConfigExporter, type EffectiveConfigOptions } from './api/config.ts'
import { createEventsExporter } from './api/events.ts'
import { createPageExporter, type PageOptions } from './page/index.ts'
import { createSystemdExporter, type SystemdOptions } from './systemd.ts'
import {
  createPrometheusExporter,
  type PrometheusOptions,
} from './prometheus/prometheus.ts'
import type { DeliveryOptions } from '../alerts/delivery/delivery-options.ts'
import { createDeliveryMetrics } from '../alerts/delivery/delivery-metrics.ts'
import { createWebhookDelivery } from '../alerts/delivery/webhook.ts'

export interface Exporters {
  readonly all: readonly Exporter[]
  /** Notes how late a job of the schedule began. */
  readonly observeScheduleDelay: (job: string, seconds: number) => void
}

/** The ways out, in one list: a new exporter is one more line here. */
export const createExporters = (
  options: PrometheusOptions &
    PageOptions &
    SystemdOptions &
    EffectiveConfigOptions &
    Omit<DeliveryOptions, 'metrics'>,
): Exporters => {
  const deliveryMetrics = createDeliveryMetrics()
  const deliveryOptions = { ...options, metrics: deliveryMetrics }
  const prometheus = createPrometheusExporter({
    ...options,
    extraSamples: deliveryMetrics.samples,
  })
  const systemd = createSystemdExporter(options)
  return {
    all: [
      createPageExporter(options),
      prometheus,
      apiExporter,
      createEventsExporter(),
      createConfigExporter(options),
      alertsApiExporter,
      createAlertmanagerDelivery(deliveryOptions),
      createWebhookDelivery(deliveryOptions),
      ...(systemd ? [systemd] : []),
    ],
    observeScheduleDelay: (job, seconds) => prometheus.observeScheduleDelay(job, seconds),
  }
}
