import {
  probeNames,
  type AttemptTrace,
  type BuilderState,
  type BuilderTraces,
  type ProbeName,
  type Snapshot,
} from '../../model/index.ts'
import { redactSecrets } from '../../text/redact.ts'
import type { CollectSamples } from '../prometheus/builder-samples.ts'
import { createBuilderLines } from '../prometheus/builder-lines.ts'
import type { HttpResponse, HttpRequest } from '../exporter.ts'

export interface DebugOptions {
  readonly collectSamples?: CollectSamples
  /** What was noted of a builder's attempts. */
  readonly readTraces?: (builder: string) => BuilderTraces
  /** Unix seconds. */
  readonly now?: () => number
}

/**
 * `/builders/NAME?debug`: as `debug=true` of blackbox_exporter, the log of the newest attempt of each probe and of the
 * newest that failed, the metrics that /metrics has of this builder, and the configuration that holds for it. Plain text; null where
 * no such builder is configured.
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
    collectSamples = () => [],
    readTraces = () => ({}),
    now = () => Date.now() / 1000,
  }: DebugOptions,
): string => {
  const { builder, health } = state
  const context = { now: now(), intervals: monitor.intervals }
  const cause = health.cause ? ` (${health.cause.kind})` : ''
  const metrics = createBuilderLines(collectSamples)([state], context)
  return [
    `# ${builder.name}: ${health.state}${cause} since ${toIsoTime(health.since)}, seen at ${toIsoTime(context.now)}`,
    '',
    '## What was asked and answered',
    '',
    ...attemptLogs(readTraces(builder.name)),
    '## Metrics of this builder',
    '',
    ...metrics.map(families => families.join('')),
    '## What holds for it',
    '',
    ...effectiveSettings(state, monitor.intervals),
    '',
  ].join('\n')
}

/** Readings that came with one command have one log. */
const attemptLogs = (traces: BuilderTraces): string[] => {
  const sections = new Map<string, string[]>()
  const add = (probe: ProbeName, what: string, trace: AttemptTrace) => {
    const text = `${what}: ${describeOutcome(trace)}\n${trace.lines || 'nothing was noted'}\n`
    sections.set(text, [...(sections.get(text) ?? []), probe])
  }
  for (const probe of probeNames) {
    const { last, lastFailed } = traces[probe] ?? {}
    if (last) add(probe, 'the newest', last)
    if (lastFailed && lastFailed !== last)
      add(probe, 'the newest that failed', lastFailed)
  }
  return sections.size === 0
    ? ['nothing yet\n']
    : [...sections].map(([text, probes]) => `### ${probes.join(', ')}, ${text}`)
}

const describeOutcome = ({ status, kind, at }: AttemptTrace): string =>
  `${status}${kind === null ? '' : ` (${kind})`}, over at ${toIsoTime(at)}`

const effectiveSettings = (
  { builder }: BuilderState,
  intervals: Snapshot['monitor']['intervals'],
): string[] => [
  `machine line   ${redactSecrets(builder.line)}`,
  `read from      ${builder.origin.file}:${builder.origin.line}`,
  `store          ${redactSecrets(builder.storeUri)}`,
  `key            ${builder.sshKey ?? builder.params['ssh-key'] ?? "ssh's own"}${builder.credential === undefined ? '' : `, the copy ${builder.credential}`}`,
  `host key       ${builder.publicHostKey === null ? 'from known_hosts' : 'pinned by the machine line'}`,
  `asked every    ${probeNames.map(probe => `${probe} ${Math.round(intervals[probe])} s`).join(', ')}`,
]

const toIsoTime = (seconds: number): string => new Date(seconds * 1000).toISOString()
