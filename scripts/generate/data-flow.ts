/** The path of one result, for docs/ARCHITECTURE.md: a numbered list and a picture. A test checks that every function exists. */
export interface Hop {
  readonly file: string
  /** An exported function of the file, or a method of what it returns. */
  readonly name: string
  readonly does: string
}

/** From the time at which a login is due to the new snapshot. */
export const trunk: readonly Hop[] = [
  {
    file: 'schedule/cron.ts',
    name: 'createCronScheduler',
    does: 'calls back at the time of the cron expression',
  },
  {
    file: 'schedule/scheduler.ts',
    name: 'createScheduler',
    does: 'spreads the builders over the interval and starts each run when a slot is free',
  },
  {
    file: 'daemon/jobs.ts',
    name: 'createJobs',
    does: 'asks the policy whether a login is allowed now',
  },
  {
    file: 'engine/monitor.ts',
    name: 'checkLogin',
    does: 'runs the login and the trust probe, then records both results',
  },
  {
    file: 'engine/probe-runner.ts',
    name: 'createProbeRunner',
    does: 'runs one attempt with its deadline and its trace',
  },
  {
    file: 'transport/ssh/dial.ts',
    name: 'createDial',
    does: 'resolves the target with ssh -G and connects to its addresses in order',
  },
  {
    file: 'transport/ssh/ssh2.ts',
    name: 'loginWithSsh2',
    does: 'reads and writes the socket, and times each phase',
  },
  {
    file: 'probes/trust.ts',
    name: 'trustProbe',
    does: 'speaks the Nix protocol over the first channel and returns an outcome',
  },
  {
    file: 'state/store.ts',
    name: 'createStore',
    does: 'adds the results and publishes a new snapshot with the names that changed',
  },
  {
    file: 'diagnosis/diagnose.ts',
    name: 'diagnose',
    does: 'picks the one cause (called by the store)',
  },
  {
    file: 'diagnosis/health.ts',
    name: 'nextHealth',
    does: 'debounces the state (called by the store)',
  },
]

/** From the snapshot to each reader. */
export const branches: readonly {
  readonly to: string
  readonly hops: readonly Hop[]
}[] = [
  {
    to: '/metrics',
    hops: [
      {
        file: 'exporters/prometheus/builder-lines.ts',
        name: 'createBuilderLines',
        does: 'renders the samples of changed builders and caches the others',
      },
      {
        file: 'exporters/prometheus/prometheus.ts',
        name: 'createPrometheusExporter',
        does: 'joins the lines by metric family',
      },
      {
        file: 'exporters/http/request-handler.ts',
        name: 'createRequestHandler',
        does: 'authenticates the scraper and sends the response',
      },
    ],
  },
  {
    to: 'status page',
    hops: [
      {
        file: 'diagnosis/report.ts',
        name: 'createReport',
        does: 'adds message, fixes and findings to each builder',
      },
      {
        file: 'exporters/page/live-updates.ts',
        name: 'createLiveUpdates',
        does: 'renders the page and finds the regions that changed',
      },
      {
        file: 'exporters/http/server-sent-events.ts',
        name: 'createEventStreams',
        does: 'sends them to open pages',
      },
    ],
  },
  {
    to: 'alert receiver',
    hops: [
      {
        file: 'alerts/evaluate.ts',
        name: 'createEvaluator',
        does: 'evaluates all rules every 5 s over the samples that /metrics prints',
      },
      {
        file: 'alerts/alert-state.ts',
        name: 'nextAlerts',
        does: 'moves alerts from pending to firing to resolved',
      },
      {
        file: 'alerts/delivery/alert-delivery.ts',
        name: 'createAlertDelivery',
        does: 'passes changed alerts to each receiver',
      },
      {
        file: 'alerts/delivery/worker.ts',
        name: 'startDeliveryWorker',
        does: 'sends one request at a time and retries',
      },
    ],
  },
]

/** Renders the numbered list. */
export const dataFlowList = (): string => {
  const item = ({ file, name, does }: Hop, number: string) =>
    `${number} \`${name}\` (\`src/${file}\`) ${does}.`
  const start = trunk.length + 1
  return [
    ...trunk.map((hop, i) => item(hop, `${i + 1}.`)),
    ...branches.flatMap(({ to, hops }) => [
      '',
      `To the ${to}:`,
      '',
      ...hops.map((hop, i) => item(hop, `${start + i}.`)),
    ]),
  ].join('\n')
}

const box = { width: 292, height: 46, gap: 16, column: 312 }
const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** Renders the picture: the trunk from top to bottom, then a column for each branch. */
export const dataFlowSvg = (): string => {
  const pitch = box.height + box.gap
  const width = branches.length * box.column
  const longest = Math.max(...branches.map(({ hops }) => hops.length))
  const height = (trunk.length + longest + 1) * pitch + 20
  const center = (width - box.width) / 2
  const draw = ({ file, name }: Hop, x: number, y: number) =>
    [
      `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="6"/>`,
      `<text x="${x + 12}" y="${y + 20}" class="name">${escape(name)}</text>`,
      `<text x="${x + 12}" y="${y + 37}">${escape(file)}</text>`,
    ].join('\n')
  const arrow = (x1: number, y1: number, x2: number, y2: number) =>
    `<path d="M${x1} ${y1} L${x2} ${y2}" marker-end="url(#end)"/>`
  const middle = box.width / 2
  const bottom = 10 + (trunk.length - 1) * pitch + box.height
  const top = 10 + trunk.length * pitch + 30
  const parts = [
    ...trunk.flatMap((hop, i) => [
      draw(hop, center, 10 + i * pitch),
      ...(i > 0
        ? [
            arrow(
              center + middle,
              10 + i * pitch - box.gap,
              center + middle,
              8 + i * pitch,
            ),
          ]
        : []),
    ]),
    ...branches.flatMap(({ to, hops }, column) => {
      const x = column * box.column + (box.column - box.width) / 2
      const end = top + hops.length * pitch
      return [
        arrow(center + middle, bottom, x + middle, top - 2),
        ...hops.flatMap((hop, i) => [
          draw(hop, x, top + i * pitch),
          arrow(
            x + middle,
            top + i * pitch + box.height,
            x + middle,
            top + (i + 1) * pitch - 2,
          ),
        ]),
        `<text x="${x + middle}" y="${end + 16}" class="end">${escape(to)}</text>`,
      ]
    }),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="The path of one result from the schedule to the metrics, the page and the alert receivers">
<style>
svg { font: 12px ui-monospace, monospace; fill: #57606a; background: #ffffff }
rect { fill: #f6f8fa; stroke: #8c959f }
.name { fill: #1f2328; font-weight: 600 }
.end { fill: #1f2328; font-weight: 600; text-anchor: middle }
path { stroke: #57606a; fill: none }
marker path { fill: #57606a }
</style>
<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>
${parts.join('\n')}
</svg>
`
}

const markers = { begin: '<!-- generated: data flow -->', end: '<!-- end -->' }

/** Replaces the generated part of docs/ARCHITECTURE.md. Throws when its markers are missing. */
export const withDataFlow = (document: string): string => {
  const begin = document.indexOf(markers.begin)
  const end = document.indexOf(markers.end)
  if (begin < 0 || end < begin) throw new Error('docs/ARCHITECTURE.md has no markers')
  return [
    document.slice(0, begin + markers.begin.length),
    '\n',
    dataFlowList(),
    '\n',
    document.slice(end),
  ].join('')
}
