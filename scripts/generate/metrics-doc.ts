import {
  families,
  reservedFamilies,
  presences,
  type Family,
} from '../../src/exporters/prometheus/families.ts'

const titles: Readonly<Record<Family['group'], string>> = {
  builder: 'Each builder',
  fleet: 'The fleet and this machine',
  monitor: 'The monitor',
  process: 'Its process',
}

/** docs/metrics.md, made of the table of families (`npm run docs`). */
export const metricsDoc = (): string =>
  [
    '# Metrics',
    '',
    'What `GET /metrics` prints, as Prometheus text or OpenMetrics. Made from `src/exporters/metrics/families.ts` by `npm run docs`.',
    '',
    '- `builder` is a stable, unique name: the host of the machine line, with more of it only where two lines collide.',
    '- Values are those of the newest scheduled probe. A scrape asks no builder anything.',
    '- A measurement older than three intervals of its probe is dropped: a frozen value would fire or hide alerts. The',
    '  state, counters and timestamps stay until the builder leaves the configuration.',
    '- Times are Unix timestamps, never ages: `time() - nix_builder_state_change_timestamp_seconds`.',
    '- Text is never a label: reason, evidence and hint live on the page, in the API and in the log.',
    ...(Object.keys(titles) as Family['group'][]).flatMap(group => [
      '',
      `## ${titles[group]}`,
      '',
      '| family | type | labels | meaning | present |',
      '|---|---|---|---|---|',
      ...families.filter(family => family.group === group).map(row),
    ]),
    '',
    '## Not yet',
    '',
    'These names are reserved for what later releases can tell:',
    '',
    '| family | waits for |',
    '|---|---|',
    ...reservedFamilies.map(([name, waitsFor]) => `| \`${name}\` | ${waitsFor} |`),
    '',
  ].join('\n')

const row = ({ name, type, labels, help, presence }: Family): string =>
  `| \`${name}\` | ${type} | ${labels.join(', ')} | ${help} | ${presences[presence]} |`
