import type { LabeledValue, SampleSet } from './sample-set.ts'

/** One alert, for Prometheus and for ourselves: expression and condition stand side by side and mean the same. */
export interface AlertRule {
  readonly name: string
  /** PromQL over families of src/exporters/metrics/families.ts. */
  readonly expr: string
  /**
   * The same condition over our own samples: what the expression would yield, with its labels but for instance and job.
   * `prometheus/tests/alerts.yml` is run through both.
   */
  readonly evaluate: (series: SampleSet) => readonly LabeledValue[]
  /**
   * A family that has a sample of the alert's builder, check or file system as soon as the probes have told something of
   * it; until then an alert that fired before a restart goes on firing. Without it a known state of the builder is enough.
   */
  readonly sourceFamily?: string
  /** How long the expression must hold, as Prometheus writes it; `0m` is at once. */
  readonly for: string
  readonly severity: 'critical' | 'warning' | 'info'
  /** One sentence that is always the same. */
  readonly summary: string
  /** A template of Prometheus with labels and value; `template.ts` knows the functions that it may use. */
  readonly description: string
  readonly runbook: {
    readonly meaning: string
    readonly diagnosis: string
    readonly fix: string
  }
}
