import { formatMessage } from '../../diagnosis/kinds/index.ts'
import { serviceNote } from '../../diagnosis/out-of-service.ts'
import { builderReport, type NoticeReport } from '../../diagnosis/report.ts'
import type {
  BuilderState,
  HistoryEntry,
  TrendName,
  Snapshot,
} from '../../model/index.ts'
import { fixList } from './fixes.ts'
import { html, type Html } from './html.ts'
import { releasedNote } from './notices.ts'
import { probeList, outcomeLabels, evidenceBlock } from './probe-list.ts'
import { builderPath, isBuilderStale, serviceText } from './row.ts'
import { sparkline, type Point } from './sparkline.ts'
import { createBars, timeline, type Bar } from './timeline.ts'
import type { PageView } from './view.ts'
import { capitalize } from '../../text/capitalize.ts'
import { formatBytes } from '../../text/bytes.ts'
import { formatElapsed } from '../../text/duration.ts'
import { formatRate } from '../../text/rate.ts'
import { relativeTime } from './relative-time.ts'
import { stateStyles } from './state-style.ts'

/** Renders the page of one builder: its probes in order of dependency, recent attempts, trends and the last failure. */
export const builderView = (
  state: BuilderState,
  { monitor: { intervals }, quarantine }: Snapshot,
  now: number,
): PageView => {
  const report = builderReport(state, now)
  const service = serviceNote(report, quarantine, now)
  const isStale = isBuilderStale(state, { now, intervals })
  const { icon, label: word } = stateStyles[isStale ? 'unknown' : report.state]
  const label = isStale ? `stale, was ${stateStyles[report.state].label}` : word
  const bars = createBars(state.history)
  const region = {
    id: 'builder',
    html: html`<div id="builder" data-name="${report.name}" data-label="${label}">
      <h1>
        ${report.name} is
        <span class="${isStale ? 'unknown' : report.state}">${label}</span>,
        ${relativeTime(report.since, now, 'for {}')}
      </h1>
      ${service && html`<div class="note">${serviceText(service, now)}</div>`}
      ${service && releasedNote(quarantine)}
      ${report.cause && note(report.cause, report.name, report.state === 'down')}
      ${report.notices.map(notice => note(notice, report.name, false))}
      <pre class="line">${state.builder.line}</pre>
      <h2>Probes</h2>
      ${probeList(state, report.probes, { now, intervals })}
      <h2>Recent attempts</h2>
      ${timeline(bars, isStale)} ${trends(state)} ${attemptTable(bars, now)}
      ${lastFailure(state, now)}
      <p>
        <a href="${builderPath(report.name)}?debug">Trace</a>
        <img src="/badge/${encodeURIComponent(report.name)}.svg" alt="" height="20" />
      </p>
    </div>`,
  }
  return {
    title: `${icon} ${report.name} ${word}`,
    state: isStale ? 'unknown' : report.state,
    regions: [region],
    order: [],
    body: html`<a class="skip" href="#builder">To the builder</a>
      <header>
        <p class="brand"><a href="/">All builders</a></p>
      </header>
      <main>${region.html}</main>`,
  }
}

const note = (
  { reason, fixes }: Pick<NoticeReport, 'reason' | 'fixes'>,
  builder: string,
  isFatal: boolean,
): Html =>
  html`<div class="note ${isFatal ? 'stops' : ''}">
    <p>${capitalize(reason)}.</p>
    ${fixList(fixes, builder)}
  </div>`

const trends = ({ history }: BuilderState): Html => {
  const points = (
    attempts: readonly HistoryEntry[] | undefined,
    readValue: (attempt: HistoryEntry) => number | null,
  ): readonly Point[] =>
    (attempts ?? []).flatMap(attempt => {
      const { status, at } = attempt
      const value = status === 'ok' || status === 'degraded' ? readValue(attempt) : null
      return value === null ? [] : [{ at, value }]
    })
  const duration = ({ durationSeconds }: HistoryEntry) => durationSeconds
  const level = (name: TrendName) => (attempt: HistoryEntry) =>
    attempt.trends[name] ?? null
  return html`<div class="sparks">
    ${sparkline('login', points(history.login, duration), formatElapsed)}
    ${sparkline('canary', points(history.canary, duration), formatElapsed)}
    ${sparkline('free space', points(history.disk, level('storeFreeBytes')), formatBytes)}
    ${sparkline('free memory', points(history.memory, level('memoryFreeBytes')), formatBytes)}
    ${sparkline('memory pressure', rate(points(history.memory, level('memoryStallSeconds'))), formatShare)}
    ${sparkline('upload', points(history.throughput, level('uploadBytesPerSecond')), formatRate)}
    ${sparkline('download', points(history.throughput, level('downloadBytesPerSecond')), formatRate)}
    ${sparkline('load', points(history.memory, level('load')), value => value.toFixed(2))}
  </div>`
}

/** Returns the increase per second between points of a counter, without intervals in which it was reset. */
const rate = (points: readonly Point[]): readonly Point[] =>
  points.flatMap(({ at, value }, i) => {
    const before = points[i - 1]
    return before && at > before.at && value >= before.value
      ? [{ at, value: (value - before.value) / (at - before.at) }]
      : []
  })

const formatShare = (value: number): string => `${(value * 100).toFixed(1)} %`

/** Renders the bars of the timeline as a table, for details and for screen readers. */
const attemptTable = (bars: readonly Bar[], now: number): Html | null =>
  bars.length === 0
    ? null
    : html`<details data-key="attempts">
        <summary>
          ${bars.length} ${bars.length === 1 ? 'attempt' : 'attempts'}, newest first
        </summary>
        <table>
          <thead>
            <tr>
              ${['When', 'Probe', 'Outcome', 'Took'].map(name => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${bars.toReversed().map(bar => tableRow(bar, now))}
          </tbody>
        </table>
      </details>`

const tableRow = ({ probe, status, kind, at, durationSeconds }: Bar, now: number): Html =>
  html`<tr>
    <td>${relativeTime(at, now, '{} ago')}</td>
    <th scope="row">${probe}</th>
    <td>${outcomeLabels[status]}${kind !== null && ` (${kind})`}</td>
    <td class="number">${formatElapsed(durationSeconds)}</td>
  </tr>`

const lastFailure = ({ failures }: BuilderState, now: number): Html | null => {
  const last = failures.at(-1)
  if (!last || last.outcome.status !== 'failed') return null
  const { kind, params, evidence } = last.outcome
  return html`<h2>Last failure</h2>
    <p>
      ${last.probe}, ${relativeTime(last.at, now, '{} ago')}:
      ${formatMessage(kind, params)}.
    </p>
    ${evidence !== undefined && evidence !== '' && evidenceBlock(evidence)}`
}
