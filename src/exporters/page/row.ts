import type { BuilderReport, CauseReport } from '../../diagnosis/report.ts'
import type { BuilderState, ProbeName, Result } from '../../model.ts'
import { html, type Html } from './html.ts'
import { runbookLink } from './runbooks.ts'
import { barsOf, timeline } from './timeline.ts'
import { bytes, capital, looks, milliseconds, since } from './words.ts'

/** Where a builder stands on the page. */
export const rowId = (name: string): string => `builder-${encodeURIComponent(name)}`

/** Where the page of a builder is. */
export const builderPath = (name: string): string =>
  `/builders/${encodeURIComponent(name)}`

export interface RowContext {
  /** Unix seconds. */
  readonly now: number
  readonly intervals: Readonly<Record<ProbeName, number>>
}

export const columns = [
  'State',
  'Builder',
  'Systems',
  'Slots',
  'Login',
  'Free space',
  'Last checks',
  'Since',
] as const

/** A builder: a row of facts, and below it why it is not healthy and what to do. */
export const rowOf = (
  report: BuilderReport,
  state: BuilderState,
  context: RowContext,
): Html => {
  const { builder } = state
  const isStale = hasGoneStale(state, context)
  const { shape, word } = looks[isStale ? 'unknown' : report.state]
  const features = [...builder.supportedFeatures, ...builder.mandatoryFeatures]
  return html`<tbody
    id="${rowId(report.name)}"
    data-name="${report.name}"
    data-word="${isStale ? 'stale' : word}"
  >
    <tr>
      <td class="state ${isStale ? 'unknown' : report.state}">
        <i aria-hidden="true"><span>${shape}</span></i
        >${isStale ? html`stale <span class="quiet">was ${looks[report.state].word}</span>` : word}
      </td>
      <th scope="row"><a href="${builderPath(report.name)}">${report.name}</a></th>
      <td class="systems" data-name="systems">
        ${list(builder.systems)}${
          features.length > 0 && html` <span class="features">${list(features)}</span>`
        }
      </td>
      <td class="number" data-name="slots">${slots(state, context)}</td>
      <td class="number" data-name="login">${login(state, context)}</td>
      <td class="number" data-name="free">${space(state, context)}</td>
      <td class="course">${timeline(barsOf(state.past), isStale)}</td>
      <td data-name="since">${change(report, context)}</td>
    </tr>
    ${report.cause ? causeRow(report, report.cause) : null}
    ${report.notes.map(
      ({ reason, hint }) =>
        html`<tr class="cause">
          <td colspan="${columns.length}">
            <p class="quiet">${capital(reason)}. ${hint}</p>
          </td>
        </tr>`,
    )}
  </tbody>`
}

/** Names that stay whole where the line breaks. */
const list = (names: readonly string[]): readonly Html[] =>
  names.map((name, i) => html`<span>${name}${i < names.length - 1 && ','}</span> `)

/** No look for two intervals where there should have been one. */
export const hasGoneStale = (
  { probes, verdict }: BuilderState,
  { now, intervals }: RowContext,
): boolean =>
  verdict.state !== 'asleep' &&
  verdict.state !== 'drained' &&
  verdict.state !== 'unknown' &&
  probes.login !== undefined &&
  probes.login.last.outcome.status !== 'skipped' &&
  now - probes.login.last.at > 2 * intervals.login

const isFresh = (
  result: Result | null | undefined,
  { now, intervals }: RowContext,
): boolean =>
  result !== null &&
  result !== undefined &&
  now - result.at <= 3 * intervals[result.probe]

const slots = ({ builder, probes }: BuilderState, context: RowContext): string => {
  const newest = probes.slots?.lastGood
  if (!newest || !isFresh(newest, context) || !('value' in newest.outcome))
    return String(builder.maxJobs)
  return `${newest.outcome.value?.held.length ?? 0}/${builder.maxJobs}`
}

const login = ({ probes }: BuilderState, context: RowContext): string => {
  const newest = probes.login?.conclusive
  if (!newest || !isFresh(newest, context)) return ''
  return newest.outcome.status === 'failed'
    ? 'failed'
    : milliseconds(newest.durationSeconds)
}

const space = ({ probes }: BuilderState, context: RowContext): string => {
  const newest = probes.disk?.lastGood
  if (!newest || !isFresh(newest, context) || !('value' in newest.outcome)) return ''
  const store = newest.outcome.value?.store
  return store ? `${bytes(store.availableBytes)} of ${bytes(store.sizeBytes)}` : ''
}

const change = (
  { state, since: at, proven, flapping, probes }: BuilderReport,
  context: RowContext,
): Html => {
  const notes = [
    flapping && 'flapping',
    state === 'healthy' && !proven && probes.canary === undefined && 'no build tried yet',
    state === 'healthy' &&
      !proven &&
      probes.canary !== undefined &&
      'not proven by a build',
  ].filter(note => note !== false)
  if (!probes.login) return html`<span class="quiet">first check under way</span>`
  return html`${since(at, context.now, 'for {}')}${
    notes.length > 0 && html` <span class="quiet">${notes.join(', ')}</span>`
  }`
}

const causeRow = (report: BuilderReport, cause: CauseReport): Html =>
  html`<tr class="cause">
    <td colspan="${columns.length}">
      <div class="why ${report.state}">
        <p><strong>${capital(cause.reason)}.</strong></p>
        <p class="hint">${cause.hint} ${runbookLink(cause.kind)}</p>
        <p class="label">See it yourself:</p>
        <pre data-copy>${cause.reproduce}</pre>
        ${
          cause.evidence !== null &&
          cause.evidence !== '' &&
          html`<details>
            <summary>What was seen (${cause.kind}, by ${cause.probe})</summary>
            <pre>${cause.evidence}</pre>
          </details>`
        }
      </div>
    </td>
  </tr>`
