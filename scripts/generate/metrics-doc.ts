import {
  families,
  presences,
  type Family,
} from '../../src/exporters/prometheus/families.ts'

const titles: Readonly<Record<Family['group'], string>> = {
  builder: 'Builders',
  fleet: 'All builders and this machine',
  monitor: 'Monitor',
  process: 'Process',
}

/** Renders docs/metrics.md from the table of families. */
export const metricsDoc = (): string =>
  [
    '# Metrics',
    '',
    'Metrics of `GET /metrics`, in Prometheus text format or OpenMetrics. Generated from `src/exporters/prometheus/families.ts` by `npm run docs`.',
    '',
    '- `builder` is a stable, unique name: the host of the machine line, extended only when two lines have the same host.',
    '- Values are from the newest scheduled probe, not measured at scrape time: a scrape does not contact any builder.',
    '- Measurements older than three intervals of their probe are dropped, because they could fire or hide alerts. The',
    '  state, counters and timestamps remain until the builder is removed from the configuration.',
    '- Times are Unix timestamps, not ages: `time() - nix_builder_state_change_timestamp_seconds`.',
    '- Texts (reason, evidence, fix) are not labels; see the status page, the API and the log.',
    ...(Object.keys(titles) as Family['group'][]).flatMap(group => [
      '',
      `## ${titles[group]}`,
      '',
      '| family | type | labels | meaning | present |',
      '|---|---|---|---|---|',
      ...families.filter(family => family.group === group).map(row),
    ]),
    '',
  ].join('\n')

const row = ({ name, type, labels, help, presence }: Family): string =>
  `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} | ${presences[presence]} |`
