import type { ProbeReport } from '../../diagnosis/report.ts'
import { reproduceCommand } from '../../diagnosis/reproduce.ts'
import { sanitize } from '../../text/sanitize.ts'
import {
  probeNames,
  type BuilderState,
  type LoginPhase,
  type LoginValue,
  type ProbeName,
  type Snapshot,
} from '../../model/index.ts'
import { fixList } from './fixes.ts'
import { html, type Html } from './html.ts'
import { runbookLink } from './runbooks.ts'
import { capitalize } from '../../text/capitalize.ts'
import { formatElapsed } from '../../text/duration.ts'
import { relativeTime } from './relative-time.ts'

type Reports = Readonly<Partial<Record<ProbeName, ProbeReport>>>

const evidenceChars = 4000
/** Probes that use the connection of the login. */
const needLogin: readonly ProbeName[] = [
  'trust',
  'system',
  'disk',
  'memory',
  'locks',
  'sessions',
  'substituters',
  'throughput',
]

/** Renders each probe in order of dependency and opens the first that failed or is degraded. `now` is in Unix seconds. */
export const probeList = (
  state: BuilderState,
  reports: Reports,
  { now, intervals }: { now: number; intervals: Snapshot['monitor']['intervals'] },
): readonly Html[] => {
  const items = probeNames.map(probe => createItem(state, probe, reports[probe]))
  const open = items.find(({ status }) => status === 'failed' || status === 'degraded')
  return items.map(item =>
    itemHtml(state, item, {
      isOpen: item === open,
      now,
      interval: intervals[item.probe],
    }),
  )
}

interface ProbeItem {
  readonly probe: ProbeName
  readonly status: ProbeReport['status'] | 'blocked' | 'none'
  readonly report: ProbeReport | undefined
}

const createItem = (
  { probes }: BuilderState,
  probe: ProbeName,
  report: ProbeReport | undefined,
): ProbeItem => {
  const { login } = probes
  const waits =
    needLogin.includes(probe) &&
    login?.conclusive?.outcome.status === 'failed' &&
    (report === undefined || report.at <= login.streak.since)
  return { probe, status: waits ? 'blocked' : (report?.status ?? 'none'), report }
}

export const outcomeLabels: Readonly<Record<ProbeItem['status'], string>> = {
  ok: '✔ ok',
  degraded: '▲ degraded',
  failed: '✘ failed',
  busy: '… busy',
  skipped: '– skipped',
  blocked: '– skipped: login failed',
  none: '? not probed yet',
}

const outcomeClasses: Readonly<Record<ProbeItem['status'], string>> = {
  ok: 'healthy',
  degraded: 'degraded',
  failed: 'down',
  busy: 'unknown',
  skipped: 'unknown',
  blocked: 'unknown',
  none: 'unknown',
}

const itemHtml = (
  { builder, probes }: BuilderState,
  { probe, status, report }: ProbeItem,
  { isOpen, now, interval }: { isOpen: boolean; now: number; interval: number },
): Html => {
  const isStale =
    report !== undefined && status !== 'blocked' && now - report.at > 2 * interval
  const last = probes[probe]?.last.outcome
  const evidence = last && 'evidence' in last ? (last.evidence ?? '') : ''
  const shownReport = status === 'blocked' ? undefined : report
  const body = html`<summary>
      <b>${probe}</b>
      <span class="${isStale ? 'unknown' : outcomeClasses[status]}"
        >${isStale ? '? stale, was: ' : ''}${outcomeLabels[status]}</span
      >
      ${shownReport && relativeTime(shownReport.at, now, '{} ago')}
      ${shownReport && formatElapsed(shownReport.durationSeconds)}
    </summary>
    ${
      shownReport?.reason !== undefined &&
      html`<p>
          ${capitalize(shownReport.reason)}.
          ${shownReport.kind !== undefined && runbookLink(shownReport.kind)}
        </p>
        ${fixList(shownReport.fixes ?? [], builder.name)}`
    }
    ${probe === 'login' && loginPhases(probes.login?.last.outcome)}
    <p class="label">Reproduce:</p>
    <pre data-copy>${reproduceCommand(builder, probe)}</pre>
    ${shownReport && evidence !== '' && evidenceBlock(evidence)}`
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

/** Renders the duration of each phase of a login, up to the phase that failed. */
const loginPhases = (
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
        return html`<li><b>${name}</b> ${formatElapsed(seconds)}</li>`
      return i < reached
        ? null
        : html`<li class="quiet">
            <b>${name}</b>
            ${i === reached + 1 && outcome?.status === 'failed' ? '✘ failed here' : 'not reached'}
          </li>`
    })}
  </ol>`
}

/** Renders remote text: sanitized, truncated and escaped. */
export const evidenceBlock = (evidence: string): Html =>
  html`<p class="label">Evidence:</p>
    <pre>${sanitize(evidence, evidenceChars)}</pre>`
