import { reasonOf } from '../../diagnosis/kinds.ts'
import { builderReport } from '../../diagnosis/report.ts'
import type { BuilderState, Check, Level, Snapshot } from '../../model.ts'
import { html, type Html } from './html.ts'
import { ladder, outcomeWords, seen } from './ladder.ts'
import { builderPath, hasGoneStale } from './row.ts'
import { sparkline, type Point } from './sparkline.ts'
import { barsOf, timeline, type Bar } from './timeline.ts'
import type { PageView } from './view.ts'
import { bytes, looks, milliseconds, since } from './words.ts'

/** One builder: its probes in order of dependency, how things went of late, and what was seen last when something failed. */
export const builderView = (
  state: BuilderState,
  { monitor: { intervals } }: Snapshot,
  now: number,
): PageView => {
  const report = builderReport(state, now)
  const isStale = hasGoneStale(state, { now, intervals })
  const { shape, word } = looks[isStale ? 'unknown' : report.state]
  const said = isStale ? `stale, was ${looks[report.state].word}` : word
  const bars = barsOf(state.past)
  const whole = {
    id: 'builder',
    html: html`<div id="builder" data-name="${report.name}" data-word="${said}">
      <h1>
        ${report.name} is
        <span class="${isStale ? 'unknown' : report.state}">${said}</span>,
        ${since(report.since, now, 'for {}')}
      </h1>
      ${report.cause && html`<p class="note ${report.state === 'down' ? 'stops' : ''}">${report.cause.reason}. ${report.cause.hint}</p>`}
      ${report.notes.map(({ reason, hint }) => html`<p class="note">${reason}. ${hint}</p>`)}
      <pre class="line">${state.builder.line}</pre>
      <h2>Probes</h2>
      ${ladder(state, report.probes, { now, intervals })}
      <h2>Of late</h2>
      ${timeline(bars, isStale)} ${courses(state)} ${table(bars, now)}
      ${failureOf(state, now)}
      <p>
        <a href="${builderPath(report.name)}?debug"
          >All that the probes asked and heard</a
        >
        <img src="/badge/${encodeURIComponent(report.name)}.svg" alt="" height="20" />
      </p>
    </div>`,
  }
  return {
    title: `${shape} ${report.name} ${word}`,
    state: isStale ? 'unknown' : report.state,
    regions: [whole],
    order: [],
    body: html`<a class="skip" href="#builder">To the builder</a>
      <header>
        <p class="brand"><a href="/">All builders</a></p>
      </header>
      <main>${whole.html}</main>`,
  }
}

const courses = ({ past }: BuilderState): Html => {
  const points = (
    checks: readonly Check[] | undefined,
    number: (check: Check) => number | null,
  ): readonly Point[] =>
    (checks ?? []).flatMap(check => {
      const value =
        check.status === 'ok' || check.status === 'degraded' ? number(check) : null
      return value === null ? [] : [{ at: check.at, value }]
    })
  const took = ({ durationSeconds }: Check) => durationSeconds
  const level = (name: Level) => (check: Check) => check.levels[name] ?? null
  return html`<div class="sparks">
    ${sparkline('login', points(past.login, took), milliseconds)}
    ${sparkline('canary', points(past.canary, took), milliseconds)}
    ${sparkline('free space', points(past.disk, level('storeFree')), bytes)}
    ${sparkline('free memory', points(past.memory, level('memoryFree')), bytes)}
    ${sparkline('waiting for memory', growth(points(past.memory, level('memoryStalled'))), share)}
    ${sparkline('load', points(past.memory, level('load')), value => value.toFixed(2))}
  </div>`
}

/** What a counter grew by each second, from each point to the next. A restart begins it anew. */
const growth = (points: readonly Point[]): readonly Point[] =>
  points.flatMap(({ at, value }, i) => {
    const before = points[i - 1]
    return before && at > before.at && value >= before.value
      ? [{ at, value: (value - before.value) / (at - before.at) }]
      : []
  })

const share = (value: number): string => `${(value * 100).toFixed(1)} %`

/** The bars of the timeline for those who cannot see them, or want to know more. */
const table = (bars: readonly Bar[], now: number): Html | null =>
  bars.length === 0
    ? null
    : html`<details data-key="checks">
        <summary>${bars.length} checks, the newest first</summary>
        <table>
          <thead>
            <tr>
              ${['When', 'Check', 'Outcome', 'Took'].map(name => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          <tbody>
            ${bars.toReversed().map(bar => tableRow(bar, now))}
          </tbody>
        </table>
      </details>`

const barWords = {
  good: outcomeWords.ok,
  degraded: outcomeWords.degraded,
  failed: outcomeWords.failed,
  gap: '… told nothing',
} as const

const tableRow = ({ probe, look, kind, at, durationSeconds }: Bar, now: number): Html =>
  html`<tr>
    <td>${since(at, now, '{} ago')}</td>
    <th scope="row">${probe}</th>
    <td>${barWords[look]}${kind !== null && ` (${kind})`}</td>
    <td class="number">${milliseconds(durationSeconds)}</td>
  </tr>`

const failureOf = ({ failures }: BuilderState, now: number): Html | null => {
  const last = failures.at(-1)
  if (!last || last.outcome.status !== 'failed') return null
  const { kind, params, evidence } = last.outcome
  return html`<h2>The last failure</h2>
    <p>${last.probe}, ${since(last.at, now, '{} ago')}: ${reasonOf(kind, params)}.</p>
    ${evidence !== undefined && evidence !== '' && seen(evidence)}`
}
