import {
  probeNames,
  type AttemptTrace,
  type BuilderState,
  type BuilderTraces,
  type ProbeName,
  type Snapshot,
} from '../../model/index.ts'
import { redactSecrets } from '../../text/redact.ts'
import type { FreshnessContext } from '../../diagnosis/freshness.ts'
import type { HttpResponse, HttpRequest } from '../http/route.ts'

export interface DebugOptions {
  /** Renders the metrics of one builder as Prometheus text. */
  readonly renderMetrics?: (state: BuilderState, context: FreshnessContext) => string
  readonly readTraces?: (builder: string) => BuilderTraces
  /** Unix seconds. */
  readonly now?: () => number
}

/**
 * Responds to `/builders/NAME?debug`, like `debug=true` of blackbox_exporter: the trace of the newest and the newest
 * failed attempt of each probe, the metrics and the effective settings of the builder, as plain text. Null for an
 * unknown builder.
 */
export const debugResponse = (
  { path }: HttpRequest,
  snapshot: Snapshot,
  options: DebugOptions,
): HttpResponse | null => {
  const state = snapshot.builders.get(path.slice('/builders/'.length))
  return state
    ? {
        status: 200,
        type: 'text/plain; charset=utf-8',
        body: renderDebug(state, snapshot, options),
      }
    : null
}

const renderDebug = (
  state: BuilderState,
  { monitor }: Snapshot,
  {
    renderMetrics = () => '',
    readTraces = () => ({}),
    now = () => Date.now() / 1000,
  }: DebugOptions,
): string => {
  const { builder, health } = state
  const context = { now: now(), intervals: monitor.intervals }
  const cause = health.cause ? ` (${health.cause.kind})` : ''
  return [
    `# ${builder.name}: ${health.state}${cause} since ${toIsoTime(health.since)}, as of ${toIsoTime(context.now)}`,
    '',
    '## Trace',
    '',
    ...attemptTraces(readTraces(builder.name)),
    '## Metrics',
    '',
    renderMetrics(state, context),
    '## Effective settings',
    '',
    ...effectiveSettings(state, monitor.intervals),
    '',
  ].join('\n')
}

/** Telemetry probes that share one command share one trace. */
const attemptTraces = (traces: BuilderTraces): string[] => {
  const sections = new Map<string, string[]>()
  const add = (probe: ProbeName, what: string, trace: AttemptTrace) => {
    const text = `${what}: ${describeOutcome(trace)}\n${trace.lines || 'no trace'}\n`
    sections.set(text, [...(sections.get(text) ?? []), probe])
  }
  for (const probe of probeNames) {
    const { last, lastFailed } = traces[probe] ?? {}
    if (last) add(probe, 'newest attempt', last)
    if (lastFailed && lastFailed !== last) add(probe, 'newest failed attempt', lastFailed)
  }
  return sections.size === 0
    ? ['no attempts yet\n']
    : [...sections].map(([text, probes]) => `### ${probes.join(', ')}, ${text}`)
}

const describeOutcome = ({ status, kind, at }: AttemptTrace): string =>
  `${status}${kind === null ? '' : ` (${kind})`}, ended at ${toIsoTime(at)}`

const effectiveSettings = (
  { builder }: BuilderState,
  intervals: Snapshot['monitor']['intervals'],
): string[] => [
  `machine line   ${redactSecrets(builder.line)}`,
  `read from      ${builder.origin.file}:${builder.origin.line}`,
  `store          ${redactSecrets(builder.storeUri)}`,
  `key            ${builder.sshKey ?? builder.params['ssh-key'] ?? "ssh's own"}${builder.credential === undefined ? '' : `, passed as ${builder.credential}`}`,
  `host key       ${builder.publicHostKey === null ? 'from known_hosts' : 'pinned in the machine line'}`,
  `interval       ${probeNames.map(probe => `${probe} ${Math.round(intervals[probe])} s`).join(', ')}`,
]

const toIsoTime = (seconds: number): string => new Date(seconds * 1000).toISOString()
