import type { AlertRule } from './rule.ts'

/** Returns the runbook page of an alert, as Markdown. */
export const alertRunbook = (rule: AlertRule): string =>
  [
    `# ${rule.name}`,
    '',
    `${rule.summary} Severity: **${rule.severity}**${rule.for === '0m' ? ', fires at once' : `, fires after ${rule.for}`}.`,
    '',
    '## Meaning',
    '',
    rule.runbook.meaning,
    '',
    '## Diagnosis',
    '',
    rule.runbook.diagnosis,
    '',
    '```promql',
    rule.expr,
    '```',
    '',
    '## Fix',
    '',
    rule.runbook.fix,
    '',
    '## Silencing',
    '',
    '```sh',
    `amtool silence add --duration=2h --comment='known' alertname=${rule.name}${builderMatcher(rule)}`,
    '```',
    '',
  ].join('\n')

const builderMatcher = ({ description }: AlertRule): string =>
  description.includes('$labels.builder') ? ' builder=NAME' : ''
