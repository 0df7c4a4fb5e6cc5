/** A panel of the Grafana dashboard (grafana/builder-monitor.json). Rows are 24 units wide. */
interface Panel {
  readonly title: string
  readonly type: 'stat' | 'timeseries' | 'state-timeline' | 'table'
  readonly width: 6 | 8 | 12 | 24
  readonly unit?: string
  /** Queries with their legends. */
  readonly targets: readonly (readonly [expr: string, legend: string])[]
}

const instanceMatcher = 'instance=~"$instance"'
const builderMatcher = `${instanceMatcher}, builder=~"$builder"`

/** Maps each state to a number for one line per builder; higher is worse. */
const worstState = ['healthy', 'degraded', 'unknown', 'down']
  .map(
    (state, rank) => `nix_builder_state{${builderMatcher}, state="${state}"} * ${rank}`,
  )
  .map(expr => `sum without (state) (${expr})`)
  .join(' + ')

const sections: readonly { readonly title: string; readonly panels: readonly Panel[] }[] =
  [
    {
      title: 'Fleet',
      panels: [
        stat(
          'Available builders',
          `sum(nix_builder_state{${instanceMatcher}, state=~"healthy|degraded"})`,
        ),
        stat('Down', `sum(nix_builder_state{${instanceMatcher}, state="down"})`),
        stat('Unknown', `sum(nix_builder_state{${instanceMatcher}, state="unknown"})`),
        stat('This machine ready', `min(nix_client_ready{${instanceMatcher}})`),
        {
          title: 'State (0 healthy, 1 degraded, 2 unknown, 3 down)',
          type: 'state-timeline',
          width: 12,
          targets: [[worstState, '{{builder}}']],
        },
        {
          title: 'Verified builders, by system',
          type: 'timeseries',
          width: 12,
          targets: [
            [`nix_builders_available{${instanceMatcher}, feature=""}`, '{{system}}'],
          ],
        },
        series('Builds are kept away', 'short', [
          [`nix_builder_quarantined{${builderMatcher}}`, '{{builder}} quarantined'],
          [`nix_builder_drained{${builderMatcher}}`, '{{builder}} drained'],
        ]),
        series('Builders that fail stay in service', 'short', [
          [
            `builder_monitor_quarantine_released{${instanceMatcher}}`,
            '{{instance}} {{reason}}',
          ],
        ]),
      ],
    },
    {
      title: 'Builder',
      panels: [
        series('Login, by phase', 's', [
          [
            `sum by (phase) (nix_builder_ssh_phase_duration_seconds{${builderMatcher}})`,
            '{{phase}}',
          ],
        ]),
        series('Duration of probes', 's', [
          [
            `nix_builder_probe_duration_seconds{${builderMatcher}}`,
            '{{builder}} {{probe}}',
          ],
        ]),
        series('Failed attempts', 'short', [
          [
            `sum by (builder, probe) (rate(nix_builder_probe_failures_total{${builderMatcher}}[$__rate_interval]))`,
            '{{builder}} {{probe}}',
          ],
        ]),
        series('Memory available', 'bytes', [
          [`nix_builder_memory_available_bytes{${builderMatcher}}`, '{{builder}}'],
        ]),
      ],
    },
    {
      title: 'Canaries',
      panels: [
        series('Time since the last canary success', 's', [
          [
            `time() - nix_builder_probe_success_timestamp_seconds{${builderMatcher}, probe="canary"} > 0`,
            '{{builder}}',
          ],
        ]),
        series('Canary success, by system', 'short', [
          [`nix_builder_canary_available{${builderMatcher}}`, '{{builder}} {{system}}'],
        ]),
      ],
    },
    {
      title: 'Disk and slots',
      panels: [
        series('Store: free, and min-free', 'bytes', [
          [
            `nix_builder_filesystem_available_bytes{${builderMatcher}, filesystem="store"}`,
            '{{builder}} free',
          ],
          [`nix_builder_min_free_bytes{${builderMatcher}}`, '{{builder}} min-free'],
        ]),
        series('Slots', 'short', [
          [`nix_builder_slots_held{${builderMatcher}}`, '{{builder}} in use'],
          [`nix_builder_configured_slots{${builderMatcher}}`, '{{builder}} configured'],
        ]),
      ],
    },
  ]

function stat(title: string, expr: string): Panel {
  return { title, type: 'stat', width: 6, targets: [[expr, '']] }
}
function series(title: string, unit: string, targets: Panel['targets']): Panel {
  return { title, type: 'timeseries', width: 12, unit, targets }
}

/** Returns every query of the dashboard, with Grafana variables. */
export const dashboardQueries = (): readonly string[] =>
  sections.flatMap(({ panels }) =>
    panels.flatMap(({ targets }) => targets.map(([expr]) => expr)),
  )

export const dashboardFile = (): string => {
  const datasource = { type: 'prometheus', uid: '${datasource}' }
  const panels: unknown[] = []
  let id = 0
  let y = 0
  for (const { title, panels: members } of sections) {
    panels.push({
      id: ++id,
      type: 'row',
      title,
      gridPos: { h: 1, w: 24, x: 0, y: y++ },
      panels: [],
    })
    let x = 0
    let height = 0
    for (const { title, type, width, unit, targets } of members) {
      if (x + width > 24) [x, y] = [0, y + height]
      height = type === 'stat' ? 4 : 8
      panels.push({
        id: ++id,
        type,
        title,
        datasource,
        gridPos: { h: height, w: width, x, y },
        fieldConfig: { defaults: { unit: unit ?? 'short' }, overrides: [] },
        targets: targets.map(([expr, legendFormat], index) => ({
          refId: String.fromCharCode(65 + index),
          datasource,
          expr,
          legendFormat,
        })),
      })
      x += width
    }
    y += height
  }
  const variable = (name: string, query: string) => ({
    name,
    type: 'query',
    datasource,
    query,
    refresh: 2,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
  })
  return `${JSON.stringify(
    {
      uid: 'builder-monitor',
      title: 'Nix remote builders',
      tags: ['nix'],
      schemaVersion: 39,
      editable: true,
      refresh: '30s',
      time: { from: 'now-6h', to: 'now' },
      templating: {
        list: [
          { name: 'datasource', type: 'datasource', query: 'prometheus' },
          variable('instance', 'label_values(nix_builder_up, instance)'),
          variable(
            'builder',
            'label_values(nix_builder_up{instance=~"$instance"}, builder)',
          ),
        ],
      },
      annotations: {
        list: [
          {
            name: 'Health',
            datasource,
            enable: true,
            iconColor: 'orange',
            expr: 'changes(nix_builder_state_change_timestamp_seconds{instance=~"$instance"}[2m]) > 0',
            titleFormat: '{{builder}} changed',
          },
        ],
      },
      panels,
    },
    null,
    2,
  )}\n`
}
