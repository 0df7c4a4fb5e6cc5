/** An alert that is pending, firing, or resolved a few minutes ago. Times are Unix seconds. */
export interface Alert {
  readonly name: string
  /** All labels, `alertname` and `severity` included. Sanitized, never empty, at most 1 KiB each. They identify the alert. */
  readonly labels: Readonly<Record<string, string>>
  /** `summary`, `description`, `runbook_url`. */
  readonly annotations: Readonly<Record<string, string>>
  /** `pending`: the condition is true, but not yet for as long as the rule's `for`. */
  readonly state: 'pending' | 'firing' | 'resolved'
  readonly value: number
  /** When its condition became true. */
  readonly activeAt: number
  /** When it started firing. Null while pending. */
  readonly startsAt: number | null
  /** When it was resolved. Null before that. */
  readonly endsAt: number | null
  /** Hash of the labels as Alertmanager computes it, 16 hex digits. */
  readonly fingerprint: string
  /** URL of the page that shows the problem. */
  readonly generatorUrl: string
}

export interface AlertsState {
  /** Base URL of the status page, without a trailing slash. */
  readonly externalUrl: string
  /** Pending and firing alerts, and those resolved within the last five minutes. */
  readonly list: readonly Alert[]
}
