import type { AlertRule } from './rule.ts'
import { alertRules } from './rules.ts'

/** Where the runbook pages of the repository are read. */
export const runbookBase =
  'https://github.com/builder-monitor/builder-monitor/blob/main/docs/runbooks'

/** prometheus/alerts.yml (`npm run docs`): Prometheus's own format of rules, in the manner of the mixins. */
export const alertsFile = (): string =>
  [
    '# Alerts of builder-monitor. Made from src/alerts/rules/ by `npm run docs`: thresholds are changed there.',
    'groups:',
    '  - name: builder-monitor',
    '    rules:',
    ...alertRules.flatMap(ruleLines),
    '',
  ].join('\n')

const ruleLines = (rule: AlertRule): readonly string[] => [
  `      - alert: ${rule.name}`,
  `        expr: ${JSON.stringify(rule.expr)}`,
  ...(rule.for === '0m' ? [] : [`        for: ${rule.for}`]),
  '        labels:',
  `          severity: ${rule.severity}`,
  '        annotations:',
  `          summary: ${JSON.stringify(rule.summary)}`,
  `          description: ${JSON.stringify(rule.description)}`,
  `          runbook_url: ${runbookBase}/${rule.name}.md`,
]

/** prometheus/rules.yml: what dashboards and service levels ask for again and again. */
export const recordingRulesFile = (): string =>
  [
    '# Recording rules of builder-monitor. Made from src/alerts/files.ts by `npm run docs`.',
    'groups:',
    '  - name: builder-monitor-recordings',
    '    rules:',
    ...recordingRules.flatMap(([name, expr]) => [
      `      - record: ${name}`,
      `        expr: ${JSON.stringify(expr)}`,
    ]),
    '',
  ].join('\n')

const recordingRules = [
  [
    'builder:nix_builder_available:avg1d',
    'avg_over_time((sum without (state) (nix_builder_state{state=~"healthy|degraded"}))[1d:5m])',
  ],
  [
    'instance:nix_builders_available:ratio',
    'sum by (instance, job) (nix_builder_state{state=~"healthy|degraded"}) / count by (instance, job) (nix_builder_up)',
  ],
  [
    'builder:nix_builder_store_headroom_bytes',
    'nix_builder_filesystem_available_bytes{filesystem="store"} - on (instance, job, builder) group_left () nix_builder_min_free_bytes',
  ],
] as const

/** The runbook page of an alert. */
export const alertRunbook = (rule: AlertRule): string =>
  [
    `# ${rule.name}`,
    '',
    `${rule.summary} Severity: **${rule.severity}**${rule.for === '0m' ? ', at once' : `, after ${rule.for}`}.`,
    '',
    '## What it means',
    '',
    rule.runbook.meaning,
    '',
    '## How to see it',
    '',
    rule.runbook.diagnosis,
    '',
    '```promql',
    rule.expr,
    '```',
    '',
    '## How to mend it',
    '',
    rule.runbook.fix,
    '',
    '## How to silence it',
    '',
    '```sh',
    `amtool silence add --duration=2h --comment='known' alertname=${rule.name}${builderMatcher(rule)}`,
    '```',
    '',
  ].join('\n')

const builderMatcher = ({ description }: AlertRule): string =>
  description.includes('$labels.builder') ? ' builder=NAME' : ''

/** docs/alerts.md: all alerts on one page. */
export const alertsDoc = (): string =>
  [
    '# Alerts',
    '',
    'Made from `src/alerts/rules/` by `npm run docs`. Prometheus reads [prometheus/alerts.yml](../prometheus/alerts.yml) and',
    '[prometheus/rules.yml](../prometheus/rules.yml); Alertmanager should take over',
    '[the inhibition](../prometheus/examples/alertmanager-inhibit.yml). Without a Prometheus the daemon can send them by itself:',
    '[alerting.md](alerting.md).',
    '',
    '| alert | severity | for | fires when |',
    '|---|---|---|---|',
    ...alertRules.map(
      rule =>
        `| [${rule.name}](runbooks/${rule.name}.md) | ${rule.severity} | ${rule.for === '0m' ? 'at once' : rule.for} | ${rule.summary} |`,
    ),
    '',
    'Percentages of disk, memory pressure and findings about the configuration wake nobody: they are metrics.',
    'NixBuilderFailOpen waits for the published machines file, which does not exist yet.',
    '',
  ].join('\n')
