import type { ProbeReport } from '../../diagnosis/report.ts'
import { reproduceCommand } from '../../diagnosis/reproduce.ts'
import { cleanText } from '../../nix/clean.ts'
import {
  probeNames,
  type BuilderState,
  type LoginPhase,
  type LoginValue,
  type ProbeName,
  type Snapshot,
} from '../../model.ts'
import { html, type Html } from './html.ts'
import { runbookLink } from './runbooks.ts'
import { milliseconds, since } from './words.ts'

type Reports = Readonly<Partial<Record<ProbeName, ProbeReport>>>

const evidenceChars = 4000
/** These ask over the connection that a login makes. */
const needLogin: readonly ProbeName[] = ['trust', 'system', 'disk', 'memory', 'locks']

/** Each probe in the order in which they depend on each other, the first that fails open. `now` in Unix seconds. */
export const ladder = (
  state: BuilderState,
  reports: Reports,
  { now, intervals }: { now: number; intervals: Snapshot['monitor']['intervals'] },
): readonly Html[] => {
  const steps = probeNames.map(probe => stepOf(state, probe, reports[probe]))
  const open = steps.find(({ look }) => look === 'failed' || look === 'degraded')
  return steps.map(step =>
    stepHtml(state, step, {
      isOpen: step === open,
      now,
      interval: intervals[step.probe],
    }),
  )
}

interface Step {
  readonly probe: ProbeName
  readonly look: ProbeReport['status'] | 'waits' | 'none'
  readonly report: ProbeReport | undefined
}

const stepOf = (
  { probes }: BuilderState,
  probe: ProbeName,
  report: ProbeReport | undefined,
): Step => {
  const { login } = probes
  const waits =
    needLogin.includes(probe) &&
    login?.conclusive?.outcome.status === 'failed' &&
    (report === undefined || report.at <= login.streak.since)
  return { probe, look: waits ? 'waits' : (report?.status ?? 'none'), report }
}

/** Shape and word of an outcome. */
export const outcomeWords: Readonly<Record<Step['look'], string>> = {
  ok: '✔ ok',
  degraded: '▲ degraded',
  failed: '✘ failed',
  busy: '… busy',
  skipped: '– skipped',
  waits: '– not tried, waits for login',
  none: '? not tried yet',
}

const colourOf: Readonly<Record<Step['look'], string>> = {
  ok: 'healthy',
  degraded: 'degraded',
  failed: 'down',
  busy: 'unknown',
  skipped: 'unknown',
  waits: 'unknown',
  none: 'unknown',
}

const stepHtml = (
  { builder, probes }: BuilderState,
  { probe, look, report }: Step,
  { isOpen, now, interval }: { isOpen: boolean; now: number; interval: number },
): Html => {
  const isStale =
    report !== undefined && look !== 'waits' && now - report.at > 2 * interval
  const last = probes[probe]?.last.outcome
  const evidence = last && 'evidence' in last ? (last.evidence ?? '') : ''
  const told = look === 'waits' ? undefined : report
  const body = html`<summary>
      <b>${probe}</b>
      <span class="${isStale ? 'unknown' : colourOf[look]}"
        >${isStale ? '? stale, was: ' : ''}${outcomeWords[look]}</span
      >
      ${told && since(told.at, now, '{} ago')}
      ${told && milliseconds(told.durationSeconds)}
    </summary>
    ${told?.reason !== undefined && html`<p>${told.reason}. ${told.hint ?? ''} ${told.kind !== undefined && runbookLink(told.kind)}</p>`}
    ${probe === 'login' && phases(probes.login?.last.outcome)}
    <p class="label">See it yourself:</p>
    <pre data-copy>${reproduceCommand(builder, probe)}</pre>
    ${told && evidence !== '' && seen(evidence)}`
  return isOpen
    ? html`<details open data-key="${probe}">${body}</details>`
    : html`<details data-key="${probe}">${body}</details>`
}

const phaseNames: readonly LoginPhase[] = [
  'dns',
  'tcp',
  'banner',
  'kex',
  'auth',
  'channel',
]

/** How far the login came, with the time of each part; what it did not reach is not tried. */
const phases = (
  outcome:
    | { readonly status: string; readonly value?: LoginValue }
    | { readonly status: string }
    | undefined,
): Html | null => {
  const value = outcome && 'value' in outcome ? outcome.value : undefined
  if (!value) return null
  const reached = phaseNames.findLastIndex(name => value.phases[name] !== undefined)
  return html`<ol class="phases">
    ${phaseNames.map((name, i) => {
      const seconds = value.phases[name]
      if (seconds !== undefined)
        return html`<li><b>${name}</b> ${milliseconds(seconds)}</li>`
      return i < reached
        ? null
        : html`<li class="quiet">
            <b>${name}</b>
            ${i === reached + 1 && outcome?.status === 'failed' ? '✘ here it ended' : 'not reached'}
          </li>`
    })}
  </ol>`
}

/** Text of the remote: cleaned and capped, and escaped like all text. */
export const seen = (evidence: string): Html =>
  html`<p class="label">What was seen:</p>
    <pre>${cleanText(evidence, evidenceChars)}</pre>`
