import type { BuilderReport, Report } from '../../diagnosis/report.ts'
import type { Snapshot, State } from '../../model/index.ts'
import { listCapabilities } from '../../diagnosis/capabilities.ts'
import { filterForm, parseFilter, isFiltering, matchesFilter } from './filter.ts'
import { alertList } from './alerts.ts'
import { html, type Html } from './html.ts'
import { capabilityMatrix } from './capability-matrix.ts'
import { findingList, notices, clientChecks } from './notices.ts'
import { createFleetCache, type FleetCache } from './fleet-cache.ts'
import { columns, rowId, type RowContext } from './row.ts'
import type { PageView, Region } from './view.ts'
import { urgency } from '../../diagnosis/diagnose.ts'
import { createHeadline } from '../../diagnosis/headline.ts'
import { relativeTime } from './relative-time.ts'
import { stateStyles } from './state-style.ts'

export interface FleetOptions {
  /** Unix seconds. */
  readonly now: number
  /** Files that were searched for builders, shown when there are none. */
  readonly files: readonly string[]
}

/**
 * Renders all builders, most urgent first. `query` may hold a filter. `cache` keeps what the addresses share; the body is
 * rendered only when it is read.
 */
export const fleetView = (
  snapshot: Snapshot,
  query: URLSearchParams,
  { now, files }: FleetOptions,
  cache: FleetCache = createFleetCache(),
): PageView => {
  const { monitor, quarantine } = snapshot
  const { report, builders } = cache.report(snapshot, now)
  const context = { now, intervals: monitor.intervals, quarantine }
  const { title, regions, systems } = cache.once('regions', snapshot, now, () => ({
    title: createTitle(builders, monitor.ready),
    regions: sharedRegions(snapshot, report, context),
    systems: [
      ...new Set([...snapshot.builders.values()].flatMap(state => state.builder.systems)),
    ].sort(),
  }))
  const filter = parseFilter(query, systems)
  const rows = builders.flatMap(one => {
    const state = snapshot.builders.get(one.name)
    return state && matchesFilter(filter, one, state.builder)
      ? [{ id: rowId(one.name), html: cache.row(one, state, context) }]
      : []
  })
  const empty = region(
    'empty',
    emptyState(snapshot, rows.length, isFiltering(filter), files),
  )
  return {
    title: title.text,
    state: title.state,
    regions: [...Object.values(regions), empty, ...rows],
    order: rows.map(({ id }) => id),
    get body() {
      return html`<a class="skip" href="#builders">To the builders</a>
        <header>
          <p class="brand">
            <b>builder-monitor</b>
            <span>Nix remote builders as this machine sees them</span>${
              snapshot.source === 'demo' && html` <span>demo fleet</span>`
            }
          </p>
          ${regions.headline.html}
        </header>
        <main id="builders">
          ${regions.notices.html} ${builders.length > 1 && filterForm(filter, systems)}
          <table id="fleet">
            <thead>
              <tr>
                ${columns.map(name => html`<th scope="col">${name}</th>`)}
              </tr>
            </thead>
            ${rows.map(row => row.html)}
          </table>
          ${empty.html} ${regions.alerts.html} ${regions.matrix.html}
          ${regions.machine.html} ${regions.findings.html}
        </main>`
    },
  }
}

const region = (id: string, inner: Html | null | false): Region => ({
  id,
  html: html`<div id="${id}">${inner}</div>`,
})

/** Renders what no filter changes. */
const sharedRegions = (snapshot: Snapshot, report: Report, context: RowContext) => {
  const { now } = context
  const { text, since: at } = createHeadline(report, snapshot.monitor.ready)
  return {
    headline: {
      id: 'headline',
      html: html`<h1 id="headline">
        ${text}${at !== null && html`, ${relativeTime(at, now, 'for {}')}`}.
      </h1>`,
    },
    notices: region('notices', notices(snapshot)),
    alerts: region('alerts', alertList(snapshot.alerts, now)),
    matrix: region('matrix', capabilityMatrix(listCapabilities(snapshot, context))),
    machine: region('machine', clientChecks(snapshot)),
    findings: region('findings', findingList(report.findings)),
  }
}

const emptyState = (
  snapshot: Snapshot,
  shown: number,
  isFiltered: boolean,
  files: readonly string[],
): Html | null => {
  const count = snapshot.builders.size
  if (shown > 0) return null
  return count > 0 && isFiltered
    ? html`<p class="empty">
        No matches among ${count} builders.
        <a href="/">Show all</a>
      </p>`
    : noBuilders(files, snapshot)
}

const noBuilders = (files: readonly string[], { problems }: Snapshot): Html =>
  html`<div class="empty">
    <p>
      ${
        problems.length > 0
          ? 'The errors above make the builders list unusable.'
          : 'Nix on this machine has no remote builders: builds run locally.'
      }
      Builders come from the <code>builders</code> setting of nix.conf, by default
      <code>@/etc/nix/machines</code>. Each line adds one builder:
    </p>
    <pre data-copy>
ssh-ng://user@host x86_64-linux /etc/nix/builder_key 4 1 big-parallel - -</pre>
    ${
      files.length > 0 &&
      html`<p>Files searched:</p>
        <ul>
          ${files.map(file => html`<li><code>${file}</code></li>`)}
        </ul>`
    }
    <p>
      Changes take effect within seconds. To try the monitor on the demo fleet:
      <code>builder-monitor demo</code>
    </p>
  </div>`

/** Returns the page title, with the count of builders in the worst state, and that state. */
const createTitle = (
  builders: readonly BuilderReport[],
  isReady: boolean,
): { readonly state: State; readonly text: string } => {
  const state = urgency.find(state => builders.some(builder => builder.state === state))
  if (!state) return { state: 'unknown', text: 'no builders' }
  if (!isReady && state === 'unknown') return { state, text: 'first checks' }
  const count = builders.filter(builder => builder.state === state).length
  const { icon, label } = stateStyles[state]
  const text =
    state === 'healthy' && count === builders.length
      ? `all ${count} healthy`
      : `${count} ${label}`
  return { state, text: `${icon} ${text}` }
}
