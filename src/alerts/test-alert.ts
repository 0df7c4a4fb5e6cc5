import type { Alert } from '../model/index.ts'
import { alertLabels } from './render-alert.ts'
import { buildExternalLabels, type AlertSettings } from './settings.ts'
import { computeFingerprint } from './labels.ts'

/** Of no rule: routes that want every alert see it, and whoever reads it knows what it is. */
export const testAlertName = 'NixBuilderMonitorTest'

/** An alert about nothing, with the labels that real ones carry; it fires at `now` (Unix seconds). */
export const createTestAlert = (settings: AlertSettings, now: number): Alert => {
  const labels = alertLabels(testAlertName, 'info', {}, buildExternalLabels(settings))
  return {
    name: testAlertName,
    labels,
    annotations: {
      summary: 'A test of builder-monitor: nothing is wrong.',
      description:
        'Somebody has typed `builder-monitor alert test` to see whether alerts arrive here.',
    },
    state: 'firing',
    value: 1,
    activeAt: now,
    startsAt: now,
    endsAt: null,
    fingerprint: computeFingerprint(labels),
    generatorUrl: `${settings.externalUrl}/`,
  }
}
