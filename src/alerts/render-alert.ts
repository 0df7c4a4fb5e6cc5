import { computeFingerprint, normalizeLabels, type Labels } from './labels.ts'
import type { RuleMatch } from './alert-state.ts'
import type { AlertRule } from './rule.ts'
import type { LabeledValue } from './sample-set.ts'
import { durationSeconds } from '../text/parse-duration.ts'
import { renderTemplate } from './template.ts'

/** What all alerts of this monitor have in common. */
export interface AlertContext {
  /** `instance`, `job` and configured labels. Labels of the rule take precedence. */
  readonly labels: Labels
  /** URL of the status page. */
  readonly externalUrl: string
  /** Multiplies each `for` of the rules. */
  readonly forMultiplier: number
}

/** Renders a sample that matches a rule as an alert with labels and annotations. */
export type RenderAlert = (rule: AlertRule, sample: LabeledValue) => RuleMatch

interface Identity {
  readonly ruleLabels: Labels
  readonly labels: Labels
  readonly fingerprint: string
}

const maxIdentities = 50_000

/** Caches label sets and fingerprints by rule and labels. */
export const createAlertRenderer = (context: AlertContext): RenderAlert => {
  const identities = new Map<string, Identity>()
  const identify = (rule: AlertRule, sampleLabels: Labels): Identity => {
    const key = `${rule.name} ${JSON.stringify(sampleLabels)}`
    const cached = identities.get(key)
    if (cached) return cached
    const ruleLabels = normalizeLabels(sampleLabels)
    const labels = alertLabels(rule.name, rule.severity, ruleLabels, context.labels)
    const identity = { ruleLabels, labels, fingerprint: computeFingerprint(labels) }
    if (identities.size >= maxIdentities) identities.clear()
    identities.set(key, identity)
    return identity
  }
  return (rule, sample) => {
    const { ruleLabels, labels, fingerprint } = identify(rule, sample.labels)
    return {
      ruleLabels,
      forSeconds: secondsOf(rule.for) * context.forMultiplier,
      alert: {
        name: rule.name,
        labels,
        fingerprint,
        annotations: {
          summary: rule.summary,
          description: renderTemplate(rule.description, labels, sample.value),
          // Served by this monitor: matches its version and works offline
          runbook_url: `${context.externalUrl}/runbooks/${rule.name}`,
        },
        value: sample.value,
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

const secondsOf = (duration: string): number => {
  const seconds = durationSeconds(duration)
  if (seconds === null) throw new Error(`${duration} is not a duration`)
  return seconds
}

const maxUrlLength = 1500

const alertPageUrl = (builder: string | undefined, base: string): string => {
  const page = `${base}/builders/${encodeURIComponent(builder ?? '')}`
  return builder === undefined || page.length > maxUrlLength ? `${base}/` : page
}
