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

export interface Exporters {
  readonly all: readonly Exporter[]
  /** Records how late a scheduled job started. */
  readonly observeScheduleDelay: (job: string, seconds: number) => void
}

/** Creates all exporters except the log. */
export const createExporters = (
  options: PrometheusOptions & PageOptions & SystemdOptions & EffectiveConfigOptions,
): Exporters => {
  const prometheus = createPrometheusExporter(options)
  const systemd = createSystemdExporter(options)
  return {
    all: [
      createPageExporter(options),
      prometheus,
      apiExporter,
      createEventsExporter(),
      createConfigExporter(options),
      alertsApiExporter,
      ...(systemd ? [systemd] : []),
    ],
    observeScheduleDelay: (job, seconds) => prometheus.observeScheduleDelay(job, seconds),
  }
}
