import { createReport, type BuilderReport } from '../../diagnosis/report.ts'
import type { BuilderState, Snapshot } from '../../model/index.ts'
import { listCapabilities } from '../prometheus/capabilities.ts'
import { filterForm, parseFilter, isFiltering, matchesFilter } from './filter.ts'
import { alertList } from './alerts.ts'
import { html, type Html } from './html.ts'
import { capabilityMatrix } from './capability-matrix.ts'
import { findingList, notices, clientChecks } from './notices.ts'
import { columns, rowId, builderRow } from './row.ts'
import type { PageView } from './view.ts'
import { byUrgency, createHeadline, since, createTitle } from './format.ts'

export interface FleetOptions {
  /** Unix seconds. */
  readonly now: number
  /** Where builders were looked for, to name them when there are none. */
  readonly files: readonly string[]
}

/** The whole fleet at a glance, the most urgent first; `query` may ask for some of it. */
export const fleetView = (
  snapshot: Snapshot,
  query: URLSearchParams,
  { now, files }: FleetOptions,
): PageView => {
  const { monitor } = snapshot
  const report = createReport(snapshot)
  const builders = report.builders.toSorted(byUrgency)
  const filter = parseFilter(query)
  const shown = builders.flatMap((one): [BuilderReport, BuilderState][] => {
    const state = snapshot.builders.get(one.name)
    return state && matchesFilter(filter, one, state.builder) ? [[one, state]] : []
  })
  const { text, since: at } = createHeadline({ ...report, builders }, monitor.ready)
  const title = createTitle(builders, monitor.ready)
  const context = { now, intervals: monitor.intervals }
  const systems = [...snapshot.builders.values()].flatMap(state => state.builder.systems)

  const region = (id: string, inner: Html | null | false) => ({
    id,
    html: html`<div id="${id}">${inner}</div>`,
  })
  const regions = {
    headline: {
      id: 'headline',
      html: html`<h1 id="headline">
        ${text}${at !== null && html`, ${since(at, now, 'for {}')}`}.
      </h1>`,
    },
    notices: region('notices', notices(snapshot)),
    emptyState: region(
      'nobody',
      emptyState(snapshot, shown.length, isFiltering(filter), files),
    ),
    alerts: region('alerts', alertList(snapshot.alerts, now)),
    matrix: region('matrix', capabilityMatrix(listCapabilities(snapshot, context))),
    machine: region('machine', clientChecks(snapshot)),
    advice: region('advice', findingList(report.findings)),
  }
  const rows = shown.map(([one, state]) => ({
    id: rowId(one.name),
    html: builderRow(one, state, context),
  }))
  return {
    title: title.text,
    state: title.state,
    regions: [...Object.values(regions), ...rows],
    order: rows.map(({ id }) => id),
    body: html`<a class="skip" href="#builders">To the builders</a>
      <header>
        <p class="brand">
          <b>builder-monitor</b>
          <span>Nix remote builders as this machine sees them</span>${
            snapshot.source === 'demo' &&
            html` <span>demo fleet, nothing of it is yours</span>`
          }
        </p>
        ${regions.headline.html}
      </header>
      <main id="builders">
        ${regions.notices.html}
        ${builders.length > 1 && filterForm(filter, [...new Set(systems)].sort())}
        <table id="fleet">
          <thead>
            <tr>
              ${columns.map(name => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          ${rows.map(row => row.html)}
        </table>
        ${regions.emptyState.html} ${regions.alerts.html} ${regions.matrix.html}
        ${regions.machine.html} ${regions.advice.html}
      </main>`,
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
        None of the ${count} builders is as the filter wants it.
        <a href="/">Show all</a>
      </p>`
    : noBuilders(files, snapshot)
}

const noBuilders = (files: readonly string[], { problems }: Snapshot): Html =>
  html`<div class="empty">
    <p>
      ${
        problems.length > 0
          ? 'What is said above keeps every builder out.'
          : 'Nix on this machine has no remote builders: builds run here.'
      }
      Builders come from the <code>builders</code> setting of nix.conf, by default
      <code>@/etc/nix/machines</code>. One line makes one:
    </p>
    <pre data-copy>
ssh-ng://user@host x86_64-linux /etc/nix/builder_key 4 1 big-parallel - -</pre>
    ${
      files.length > 0 &&
      html`<p>These were looked at:</p>
        <ul>
          ${files.map(file => html`<li><code>${file}</code></li>`)}
        </ul>`
    }
    <p>
      A change is seen within seconds. To see the monitor at work first:
      <code>builder-monitor demo</code>
    </p>
  </div>`
