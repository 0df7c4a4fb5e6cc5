import { createAlertmanagerExporter } from './notify/alertmanager.ts'
import { alertsApiExporter } from './alerts-api.ts'
import { apiExporter } from './api.ts'
import type { Exporter } from './exporter.ts'
import { createConfigExporter, type EffectiveConfigOptions } from './effective-config.ts'
import { createEventsExporter } from './events.ts'
import { createPageExporter, type PageOptions } from './page/index.ts'
import { createSystemdExporter, type SystemdOptions } from './systemd.ts'
import { createPrometheusExporter, type PrometheusOptions } from './metrics/prometheus.ts'
import type { SenderOptions } from './notify/sender-options.ts'
import { createTally } from './notify/tally.ts'
import { createWebhookExporter } from './notify/webhook.ts'

export interface Exporters {
  readonly all: readonly Exporter[]
  /** Notes how late a job of the schedule began. */
  readonly observeLateness: (job: string, seconds: number) => void
}

/** The ways out, in one list: a new exporter is one more line here. */
export const createExporters = (
  options: PrometheusOptions &
    PageOptions &
    SystemdOptions &
    EffectiveConfigOptions &
    Omit<SenderOptions, 'tally'>,
): Exporters => {
  const tally = createTally()
  const senders = { ...options, tally }
  const prometheus = createPrometheusExporter({ ...options, counted: tally.samples })
  const systemd = createSystemdExporter(options)
  return {
    all: [
      createPageExporter(options),
      prometheus,
      apiExporter,
      createEventsExporter(),
      createConfigExporter(options),
      alertsApiExporter,
      createAlertmanagerExporter(senders),
      createWebhookExporter(senders),
      ...(systemd ? [systemd] : []),
    ],
    observeLateness: (job, seconds) => prometheus.observeLateness(job, seconds),
  }
}
