import type { Labels } from './labels.ts'

/** The parts of the `alerting` section that evaluation uses. */
export interface AlertSettings {
  readonly enable: boolean
  readonly labels: Labels
  readonly instance: string
  /** URL of the status page, without trailing slash. */
  readonly externalUrl: string
  readonly disabledAlerts: readonly string[]
}

/** Returns the labels of every alert of this monitor. */
export const buildExternalLabels = ({ labels, instance }: AlertSettings): Labels => ({
  job: 'builder-monitor',
  ...labels,
  instance,
})
