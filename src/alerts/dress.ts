import { fingerprintOf, fitLabels, type Labels } from './labels.ts'
import type { Holding } from './machine.ts'
import type { AlertRule } from './rule.ts'
import type { Labelled } from './series.ts'
import { render } from './template.ts'

/** Whose alerts they are. */
export interface Sender {
  /** Of this monitor: `instance`, `job` and what is configured. An alert's own labels win. */
  readonly labels: Labels
  /** Where our page is read. */
  readonly externalUrl: string
  /** What each `for` is multiplied by. */
  readonly patience: number
}

/** What a rule yields, as an alert with all its labels and its texts. */
export type Dress = (rule: AlertRule, found: Labelled) => Holding

interface Identity {
  readonly inner: Labels
  readonly labels: Labels
  readonly fingerprint: string
}

const identitiesMax = 50_000

/** The same labels come each time, so what is made of them is kept. */
export const createDress = (sender: Sender): Dress => {
  const known = new Map<string, Identity>()
  const identityOf = (rule: AlertRule, found: Labels): Identity => {
    const key = `${rule.name} ${JSON.stringify(found)}`
    const before = known.get(key)
    if (before) return before
    const inner = fitLabels(found)
    const labels = labelsOf(rule.name, rule.severity, inner, sender.labels)
    const identity = { inner, labels, fingerprint: fingerprintOf(labels) }
    if (known.size >= identitiesMax) known.clear()
    known.set(key, identity)
    return identity
  }
  return (rule, found) => {
    const { inner, labels, fingerprint } = identityOf(rule, found.labels)
    return {
      inner,
      forSeconds: secondsOf(rule.for) * sender.patience,
      alert: {
        name: rule.name,
        labels,
        fingerprint,
        annotations: {
          summary: rule.summary,
          description: render(rule.description, labels, found.value),
          // The page that we serve ourselves: it fits this version, and needs nobody else
          runbook_url: `${sender.externalUrl}/runbooks/${rule.name}`,
        },
        value: found.value,
        generatorUrl: pageOf(inner['builder'], sender.externalUrl),
      },
    }
  }
}

export const labelsOf = (
  alertname: string,
  severity: string,
  inner: Labels,
  outer: Labels,
): Labels => fitLabels({ ...outer, ...inner, alertname, severity })

/** `5m` as seconds; the units that rules use. */
export const secondsOf = (duration: string): number => {
  const [, count = '', unit = ''] = /^(\d+)([smhd])$/.exec(duration) ?? []
  const size = { s: 1, m: 60, h: 3600, d: 86_400 }[unit]
  if (size === undefined) throw new Error(`${duration} is no duration of a rule`)
  return Number(count) * size
}

const longestUrl = 1500

const pageOf = (builder: string | undefined, base: string): string => {
  const page = `${base}/builders/${encodeURIComponent(builder ?? '')}`
  return builder === undefined || page.length > longestUrl ? `${base}/` : page
}
