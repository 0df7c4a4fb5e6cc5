import { alertsApiExporter } from './api/alerts.ts'
import { apiExporter } from './api/builders.ts'
import type { Exporter } from './exporter.ts'
import { createConfigExporter, type EffectiveConfigOptions } from './api/config.ts'
import { debugResponse, type DebugOptions } from './api/debug.ts'
import { createEventsExporter } from './api/events.ts'
import { createRenderMetrics } from './prometheus/builder-lines.ts'
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
  options: PrometheusOptions &
    Omit<PageOptions, 'debug'> &
    Omit<DebugOptions, 'renderMetrics'> &
    SystemdOptions &
    EffectiveConfigOptions,
): Exporters => {
  const prometheus = createPrometheusExporter(options)
  const systemd = createSystemdExporter(options)
  const renderMetrics = createRenderMetrics(options.collectSamples)
  return {
    all: [
      createPageExporter({
        ...options,
        debug: (request, snapshot) =>
          debugResponse(request, snapshot, { ...options, renderMetrics }),
      }),
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
