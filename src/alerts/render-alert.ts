import { computeFingerprint, normalizeLabels, type Labels } from './labels.ts'
import type { RuleMatch } from './alert-state.ts'
import type { AlertRule } from './rule.ts'
import type { LabeledValue } from './sample-set.ts'
import { renderTemplate } from './template.ts'

/** Whose alerts they are. */
export interface AlertContext {
  /** Of this monitor: `instance`, `job` and what is configured. An alert's own labels win. */
  readonly labels: Labels
  /** Where our page is read. */
  readonly externalUrl: string
  /** What each `for` is multiplied by. */
  readonly forMultiplier: number
}

/** What a rule yields, as an alert with all its labels and its texts. */
export type RenderAlert = (rule: AlertRule, found: LabeledValue) => RuleMatch

interface Identity {
  readonly ruleLabels: Labels
  readonly labels: Labels
  readonly fingerprint: string
}

const maxIdentities = 50_000

/** The same labels come each time, so what is made of them is kept. */
export const createAlertRenderer = (context: AlertContext): RenderAlert => {
  const identities = new Map<string, Identity>()
  const identify = (rule: AlertRule, found: Labels): Identity => {
    const key = `${rule.name} ${JSON.stringify(found)}`
    const cached = identities.get(key)
    if (cached) return cached
    const ruleLabels = normalizeLabels(found)
    const labels = alertLabels(rule.name, rule.severity, ruleLabels, context.labels)
    const identity = { ruleLabels, labels, fingerprint: computeFingerprint(labels) }
    if (identities.size >= maxIdentities) identities.clear()
    identities.set(key, identity)
    return identity
  }
  return (rule, found) => {
    const { ruleLabels, labels, fingerprint } = identify(rule, found.labels)
    return {
      ruleLabels,
      forSeconds: parseDuration(rule.for) * context.forMultiplier,
      alert: {
        name: rule.name,
        labels,
        fingerprint,
        annotations: {
          summary: rule.summary,
          description: renderTemplate(rule.description, labels, found.value),
          // The page that we serve ourselves: it fits this version, and needs nobody else
          runbook_url: `${context.externalUrl}/runbooks/${rule.name}`,
        },
        value: found.value,
        generatorUrl: alertPageUrl(ruleLabels['builder'], context.externalUrl),
      },
    }
  }
}

export const alertLabels = (
  alertname: string,
  severity: string,
  ruleLabels: Labels,
  externalLabels: Labels,
): Labels => normalizeLabels({ ...externalLabels, ...ruleLabels, alertname, severity })

/** `5m` as seconds; the units that rules use. */
export const parseDuration = (duration: string): number => {
  const [, count = '', unit = ''] = /^(\d+)([smhd])$/.exec(duration) ?? []
  const size = { s: 1, m: 60, h: 3600, d: 86_400 }[unit]
  if (size === undefined) throw new Error(`${duration} is no duration of a rule`)
  return Number(count) * size
}

const maxUrlLength = 1500

const alertPageUrl = (builder: string | undefined, base: string): string => {
  const page = `${base}/builders/${encodeURIComponent(builder ?? '')}`
  return builder === undefined || page.length > maxUrlLength ? `${base}/` : page
}
