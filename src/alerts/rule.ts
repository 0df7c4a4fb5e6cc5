import type { LabeledValue, SampleSet } from './sample-set.ts'

/** An alert for Prometheus (`expr`) and for built-in alerting (`evaluate`); both must have the same result. */
export interface AlertRule {
  readonly name: string
  /** PromQL over families of src/exporters/metrics/families.ts. */
  readonly expr: string
  /**
   * Returns the result of the expression over internal samples, without the labels instance and job.
   * `prometheus/tests/alerts.yml` tests both.
   */
  readonly evaluate: (samples: SampleSet) => readonly LabeledValue[]
  /**
   * A family that has a sample of the alert's builder, check or file system once there is fresh data. Until then an alert
   * that fired before a restart keeps firing. By default, a known state of the builder is enough.
   */
  readonly sourceFamily?: string
  /**
   * True for an alert that a machine without a network, or one that cannot send builds, causes by itself. While
   * NixClientNotReady matches, it neither starts nor resolves; prometheus/examples/alertmanager-inhibit.yml does the same.
   */
  readonly isInhibitedByClient?: boolean
  /** Duration in Prometheus' format; `0m` fires at once. */
  readonly for: string
  readonly severity: 'critical' | 'warning' | 'info'
  /** A noun phrase with a full stop, without template. */
  readonly summary: string
  /** A Prometheus template with the functions that template.ts supports. */
  readonly description: string
  readonly runbook: {
    readonly meaning: string
    readonly diagnosis: string
    readonly fix: string
  }
}
