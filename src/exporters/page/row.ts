import type { BuilderReport, CauseReport } from '../../diagnosis/report.ts'
import {
  formatServiceDetails,
  serviceNote,
  type ServiceNote,
} from '../../diagnosis/out-of-service.ts'
import type {
  BuilderState,
  ProbeName,
  QuarantineState,
  Result,
} from '../../model/index.ts'
import { fixList } from './fixes.ts'
import { html, type Html } from './html.ts'
import { runbookLink } from './runbooks.ts'
import { createBars, timeline } from './timeline.ts'
import { formatBytes } from '../../text/bytes.ts'
import { capitalize } from '../../text/capitalize.ts'
import { formatDuration, formatElapsed } from '../../text/duration.ts'
import { relativeTime } from './relative-time.ts'
import { stateStyles } from './state-style.ts'

/** Returns the id of the row of a builder. */
export const rowId = (name: string): string => `builder-${encodeURIComponent(name)}`

/** Returns the path of the page of a builder. */
export const builderPath = (name: string): string =>
  `/builders/${encodeURIComponent(name)}`

export interface RowContext {
  /** Unix seconds. */
  readonly now: number
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** Absent before the first decision. */
  readonly quarantine?: QuarantineState | undefined
}

export const columns = [
  'State',
  'Builder',
  'Systems',
  'Slots',
  'Login',
  'Free space',
  'Last attempts',
  'Since',
] as const

/** Renders a builder as a row of facts; below it the cause and the fix when it is not healthy. */
export const builderRow = (
  report: BuilderReport,
  state: BuilderState,
  context: RowContext,
): Html => {
  const { builder } = state
  const isStale = isBuilderStale(state, context)
  const { icon, label } = stateStyles[isStale ? 'unknown' : report.state]
  const features = [...builder.supportedFeatures, ...builder.mandatoryFeatures]
  const service = serviceNote(report, context.quarantine, context.now)
  return html`<tbody
    id="${rowId(report.name)}"
    data-name="${report.name}"
    data-label="${isStale ? 'stale' : label}"
  >
    <tr>
      <td class="state ${isStale ? 'unknown' : report.state}">
        <i aria-hidden="true"><span>${icon}</span></i
        >${isStale ? html`stale <span class="quiet">was ${stateStyles[report.state].label}</span>` : label}
      </td>
      <th scope="row"><a href="${builderPath(report.name)}">${report.name}</a></th>
      <td class="systems" data-name="systems">
        ${nameList(builder.systems)}${
          features.length > 0 &&
          html` <span class="features">${nameList(features)}</span>`
        }
      </td>
      <td class="number" data-name="slots">${slotsText(state, context)}</td>
      <td class="number" data-name="login">${loginText(state, context)}</td>
      <td class="number" data-name="free">${freeSpaceText(state, context)}</td>
      <td class="history">${timeline(createBars(state.history), isStale)}</td>
      <td data-name="since">${sinceText(report, context)}</td>
    </tr>
    ${
      service &&
      html`<tr class="cause">
        <td colspan="${columns.length}">${serviceText(service, context.now)}</td>
      </tr>`
    }
    ${report.cause ? causeRow(report, report.cause) : null}
    ${report.notices.map(
      ({ reason, fixes }) =>
        html`<tr class="cause">
          <td colspan="${columns.length}">
            <p class="quiet">${capitalize(reason)}.</p>
            ${fixList(fixes, report.name)}
          </td>
        </tr>`,
    )}
  </tbody>`
}

/** Returns everything in a row that depends on the time: rows of the same report and state with equal times are equal. */
export const rowTimes = (state: BuilderState, context: RowContext): string => {
  const { probes, health, drain = null, quarantine = null, hold = null } = state
  const service = serviceNote(
    { ...health, drain, quarantine, hold },
    context.quarantine,
    context.now,
  )
  return [
    isBuilderStale(state, context),
    isFresh(probes.slots?.lastSuccess, context),
    isFresh(probes.login?.conclusive, context),
    isFresh(probes.disk?.lastSuccess, context),
    formatDuration(context.now - health.since),
    service &&
      `${service.text} ${formatDuration(context.now - service.since)} ${formatServiceDetails(service)}`,
  ].join(' ')
}

/** Renders what keeps builds away from a builder. */
export const serviceText = (note: ServiceNote, now: number): Html =>
  html`<p class="service">
    <b>${capitalize(note.text)}</b>
    ${relativeTime(note.since, now, 'for {}')}${formatServiceDetails(note)}.
  </p>`

/** Renders names so that lines break only between them. */
const nameList = (names: readonly string[]): readonly Html[] =>
  names.map((name, i) => html`<span>${name}${i < names.length - 1 && ','}</span> `)

/** Whether the newest login is older than two intervals although the builder is probed. */
export const isBuilderStale = (
  { probes, health }: BuilderState,
  { now, intervals }: RowContext,
): boolean =>
  health.state !== 'asleep' &&
  health.state !== 'drained' &&
  health.state !== 'unknown' &&
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

const slotsText = ({ builder, probes }: BuilderState, context: RowContext): string => {
  const newest = probes.slots?.lastSuccess
  if (!newest || !isFresh(newest, context) || !('value' in newest.outcome))
    return String(builder.maxJobs)
  return `${newest.outcome.value?.inUse.length ?? 0}/${builder.maxJobs}`
}

const loginText = ({ probes }: BuilderState, context: RowContext): string => {
  const newest = probes.login?.conclusive
  if (!newest || !isFresh(newest, context)) return ''
  return newest.outcome.status === 'failed'
    ? 'failed'
    : formatElapsed(newest.durationSeconds)
}

const freeSpaceText = ({ probes }: BuilderState, context: RowContext): string => {
  const newest = probes.disk?.lastSuccess
  if (!newest || !isFresh(newest, context) || !('value' in newest.outcome)) return ''
  const store = newest.outcome.value?.store
  return store
    ? `${formatBytes(store.availableBytes)} of ${formatBytes(store.sizeBytes)}`
    : ''
}

const sinceText = (
  { state, since: at, verified, flapping, probes }: BuilderReport,
  context: RowContext,
): Html => {
  const notes = [
    flapping && 'flapping',
    state === 'healthy' &&
      !verified &&
      probes.canary === undefined &&
      'no build tried yet',
    state === 'healthy' &&
      !verified &&
      probes.canary !== undefined &&
      'not verified by a build',
  ].filter(note => note !== false)
  if (!probes.login && state !== 'drained')
    return html`<span class="quiet">first check is running</span>`
  return html`${relativeTime(at, context.now, 'for {}')}${
    notes.length > 0 && html` <span class="quiet">${notes.join(', ')}</span>`
  }`
}

const causeRow = (report: BuilderReport, cause: CauseReport): Html =>
  html`<tr class="cause">
    <td colspan="${columns.length}">
      <div class="why ${report.state}">
        <p><strong>${capitalize(cause.reason)}.</strong> ${runbookLink(cause.kind)}</p>
        ${fixList(cause.fixes, report.name)}
        <p class="label">Reproduce:</p>
        <pre data-copy>${cause.reproduce}</pre>
        ${
          cause.evidence !== null &&
          cause.evidence !== '' &&
          html`<details>
            <summary>Evidence (${cause.kind}, from the ${cause.probe} probe)</summary>
            <pre>${cause.evidence}</pre>
          </details>`
        }
      </div>
    </td>
  </tr>`
