import type { Labels } from './labels.ts'

/** The part of the configuration that decides what alerts there are. */
export interface AlertSettings {
  readonly enable: boolean
  readonly labels: Labels
  readonly instance: string
  /** Where our page is read, without a slash at the end. */
  readonly externalUrl: string
  readonly disabledAlerts: readonly string[]
}

/** The labels of every alert of this monitor. */
export const buildExternalLabels = ({ labels, instance }: AlertSettings): Labels => ({
  job: 'builder-monitor',
  ...labels,
  instance,
})
