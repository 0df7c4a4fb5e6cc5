import type { Alert } from '../model/index.ts'
import { alertLabels } from './render-alert.ts'
import { buildExternalLabels, type AlertSettings } from './settings.ts'
import { computeFingerprint } from './labels.ts'

/** Not the name of a rule; recognizable as a test. */
export const testAlertName = 'NixBuilderMonitorTest'

/** Creates a test alert with the labels of real alerts, firing since `now` (Unix seconds). */
export const createTestAlert = (settings: AlertSettings, now: number): Alert => {
  const labels = alertLabels(testAlertName, 'info', {}, buildExternalLabels(settings))
  return {
    name: testAlertName,
    labels,
    annotations: {
      summary: 'Test alert of builder-monitor, no action required.',
      description: 'Sent by `builder-monitor alert test` to check that alerts arrive.',
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
