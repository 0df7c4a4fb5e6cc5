import type { AlertRule } from '../../src/alerts/rule.ts'
import { alertRules } from '../../src/alerts/rules.ts'

/** The runbook pages in the repository. */
export const runbookBase =
  'https://github.com/builder-monitor/builder-monitor/blob/main/docs/runbooks'

/** Renders prometheus/alerts.yml: alerting rules in the style of the Prometheus mixins. */
export const alertsFile = (): string =>
  [
    '# Alerting rules of builder-monitor. Generated from src/alerts/rules/ by `npm run docs`; change thresholds there.',
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

/** Renders prometheus/rules.yml: recording rules for dashboards and service levels. */
export const recordingRulesFile = (): string =>
  [
    '# Recording rules of builder-monitor. Generated from scripts/generate/alert-files.ts by `npm run docs`.',
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

/** Renders docs/alerts.md: all alerts on one page. */
export const alertsDoc = (): string =>
  [
    '# Alerts',
    '',
    'Generated from `src/alerts/rules/` by `npm run docs`. Load [prometheus/alerts.yml](../prometheus/alerts.yml) and',
    '[prometheus/rules.yml](../prometheus/rules.yml) in Prometheus, and add',
    '[the inhibition rules](../prometheus/examples/alertmanager-inhibit.yml) to Alertmanager. Without Prometheus, the daemon',
    'can send the same alerts itself: [alerting.md](alerting.md).',
    '',
    '| alert | severity | for | summary |',
    '|---|---|---|---|',
    ...alertRules.map(
      rule =>
        `| [${rule.name}](runbooks/${rule.name}.md) | ${rule.severity} | ${rule.for === '0m' ? 'at once' : rule.for} | ${rule.summary} |`,
    ),
    '',
    'Disk usage in percent, memory pressure and configuration findings are metrics without an alert.',
    '',
  ].join('\n')
