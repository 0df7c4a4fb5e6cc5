import {
  probeNames,
  type AttemptTrace,
  type BuilderState,
  type BuilderTraces,
  type ProbeName,
  type Snapshot,
} from '../model.ts'
import { withoutSecrets } from '../nix/without-secrets.ts'
import type { SamplesOf } from './metrics/builder-samples.ts'
import { createBuilderText } from './metrics/builder-text.ts'
import type { HttpAnswer, HttpRequest } from './exporter.ts'

export interface DebugOptions {
  readonly samplesOf?: SamplesOf
  /** What was noted of a builder's attempts. */
  readonly tracesOf?: (builder: string) => BuilderTraces
  /** Unix seconds. */
  readonly now?: () => number
}

/**
 * `/builders/NAME?debug`: as `debug=true` of blackbox_exporter, the log of the newest attempt of each probe and of the
 * newest that failed, the metrics that /metrics has of this builder, and the configuration that holds for it. Plain text; null where
 * no such builder is configured.
 */
export const debugAnswer = (
  { path }: HttpRequest,
  snapshot: Snapshot,
  options: DebugOptions,
): HttpAnswer | null => {
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
    samplesOf = () => [],
    tracesOf = () => ({}),
    now = () => Date.now() / 1000,
  }: DebugOptions,
): string => {
  const { builder, verdict } = state
  const moment = { now: now(), intervals: monitor.intervals }
  const cause = verdict.cause ? ` (${verdict.cause.kind})` : ''
  const metrics = createBuilderText(samplesOf)([state], moment)
  return [
    `# ${builder.name}: ${verdict.state}${cause} since ${iso(verdict.since)}, seen at ${iso(moment.now)}`,
    '',
    '## What was asked and answered',
    '',
    ...logs(tracesOf(builder.name)),
    '## Metrics of this builder',
    '',
    ...metrics.map(families => families.join('')),
    '## What holds for it',
    '',
    ...settings(state, monitor.intervals),
    '',
  ].join('\n')
}

/** Readings that came with one command have one log. */
const logs = (traces: BuilderTraces): string[] => {
  const sections = new Map<string, string[]>()
  const add = (probe: ProbeName, what: string, trace: AttemptTrace) => {
    const text = `${what}: ${outcomeOf(trace)}\n${trace.lines || 'nothing was noted'}\n`
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

const outcomeOf = ({ status, kind, at }: AttemptTrace): string =>
  `${status}${kind === null ? '' : ` (${kind})`}, over at ${iso(at)}`

const settings = (
  { builder }: BuilderState,
  intervals: Snapshot['monitor']['intervals'],
): string[] => [
  `machine line   ${withoutSecrets(builder.line)}`,
  `read from      ${builder.origin.file}:${builder.origin.line}`,
  `store          ${withoutSecrets(builder.storeUri)}`,
  `key            ${builder.sshKey ?? builder.params['ssh-key'] ?? "ssh's own"}${builder.credential === undefined ? '' : `, the copy ${builder.credential}`}`,
  `host key       ${builder.publicHostKey === null ? 'from known_hosts' : 'pinned by the machine line'}`,
  `asked every    ${probeNames.map(probe => `${probe} ${Math.round(intervals[probe])} s`).join(', ')}`,
]

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString()
