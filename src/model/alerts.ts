/** An alert of ours: its condition holds, or did so a short while ago. Times are Unix seconds. */
export interface Alert {
  readonly name: string
  /** All of them, `alertname` and `severity` included; clean, none empty, none over 1 KiB. They are what it is known by. */
  readonly labels: Readonly<Record<string, string>>
  /** `summary`, `description`, `runbook_url`. */
  readonly annotations: Readonly<Record<string, string>>
  /** `pending` is not yet anybody's concern. */
  readonly state: 'pending' | 'firing' | 'resolved'
  readonly value: number
  /** Since when its condition holds. */
  readonly activeAt: number
  /** Since when it fires; null while pending. */
  readonly startsAt: number | null
  /** When it ended; null before that. */
  readonly endsAt: number | null
  /** Of the labels, as Alertmanager computes it: 16 hex digits. */
  readonly fingerprint: string
  /** The page that shows what is wrong. */
  readonly generatorUrl: string
}

export interface AlertsState {
  /** Where our page is read, without a slash at the end. */
  readonly externalUrl: string
  /** Pending and firing ones, and those that ended within five minutes. */
  readonly list: readonly Alert[]
}
