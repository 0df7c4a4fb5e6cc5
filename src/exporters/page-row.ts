import type { BuilderReport, CauseReport } from '../diagnosis/report.ts'
import type { BuilderState, ProbeName, Result } from '../model.ts'
import { html, type Html } from './html.ts'
import { builderPath } from './page-builder.ts'
import { bytes, looks, milliseconds, since } from './page-words.ts'

/** Where a builder stands on the page. */
export const anchorOf = (name: string): string => `builder-${encodeURIComponent(name)}`

export interface RowContext {
  /** Unix seconds. */
  readonly now: number
  readonly intervals: Readonly<Record<ProbeName, number>>
}

/** A builder: a row of facts, and below it why it is not healthy and what to do. */
export const rowOf = (
  report: BuilderReport,
  state: BuilderState,
  context: RowContext,
): Html => {
  const { builder } = state
  const { shape, word } = looks[report.state]
  const features = [...builder.supportedFeatures, ...builder.mandatoryFeatures]
  return html`<tbody id="${anchorOf(report.name)}">
    <tr>
      <td class="state ${report.state}">
        <i aria-hidden="true"><span>${shape}</span></i
        >${word}
      </td>
      <th scope="row"><a href="${builderPath(report.name)}">${report.name}</a></th>
      <td class="systems" data-name="systems">
        ${builder.systems.join(', ')}${
          features.length > 0 &&
          html` <span class="features">${features.join(', ')}</span>`
        }
      </td>
      <td class="number" data-name="slots">${builder.maxJobs}</td>
      <td class="number" data-name="login">${login(state, context)}</td>
      <td class="number" data-name="free">${space(state, context)}</td>
      <td data-name="since">${change(report, context)}</td>
    </tr>
    ${report.cause ? causeRow(report, report.cause) : null}
    ${report.notes.map(
      ({ reason, hint }) =>
        html`<tr class="cause">
          <td colspan="7"><p class="quiet">${capital(reason)}. ${hint}</p></td>
        </tr>`,
    )}
  </tbody>`
}

const isFresh = (
  result: Result | null | undefined,
  { now, intervals }: RowContext,
): boolean =>
  result !== null &&
  result !== undefined &&
  now - result.at <= 3 * intervals[result.probe]

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
  return html`${since(at, context.now, text => `for ${text}`)}${
    notes.length > 0 && html` <span class="quiet">${notes.join(', ')}</span>`
  }`
}

const causeRow = (report: BuilderReport, cause: CauseReport): Html =>
  html`<tr class="cause">
    <td colspan="7">
      <div class="why ${report.state}">
        <p><strong>${capital(cause.reason)}.</strong></p>
        <p class="hint">${cause.hint}</p>
        <p class="label">See it yourself:</p>
        <pre>${cause.reproduce}</pre>
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

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)
