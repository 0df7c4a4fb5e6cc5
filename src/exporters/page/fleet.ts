import { reportOf, type BuilderReport } from '../../diagnosis/report.ts'
import type { BuilderState, Snapshot } from '../../model.ts'
import { capabilitiesOf } from '../metrics/capabilities.ts'
import { filterForm, filterOf, isFiltering, lets } from './filter.ts'
import { alerts } from './alerts.ts'
import { html, type Html } from './html.ts'
import { matrix } from './matrix.ts'
import { advice, notices, thisMachine } from './notices.ts'
import { columns, rowId, rowOf } from './row.ts'
import type { PageView } from './view.ts'
import { byUrgency, headlineOf, since, titleOf } from './words.ts'

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
  const report = reportOf(snapshot)
  const builders = report.builders.toSorted(byUrgency)
  const filter = filterOf(query)
  const shown = builders.flatMap((one): [BuilderReport, BuilderState][] => {
    const state = snapshot.builders.get(one.name)
    return state && lets(filter, one, state.builder) ? [[one, state]] : []
  })
  const { text, since: at } = headlineOf({ ...report, builders }, monitor.ready)
  const title = titleOf(builders, monitor.ready)
  const context = { now, intervals: monitor.intervals }
  const systems = [...snapshot.builders.values()].flatMap(state => state.builder.systems)

  const part = (id: string, inner: Html | null | false) => ({
    id,
    html: html`<div id="${id}">${inner}</div>`,
  })
  const parts = {
    headline: {
      id: 'headline',
      html: html`<h1 id="headline">
        ${text}${at !== null && html`, ${since(at, now, 'for {}')}`}.
      </h1>`,
    },
    notices: part('notices', notices(snapshot)),
    nobody: part('nobody', whyNobody(snapshot, shown.length, isFiltering(filter), files)),
    alerts: part('alerts', alerts(snapshot.alerts, now)),
    matrix: part('matrix', matrix(capabilitiesOf(snapshot, context))),
    machine: part('machine', thisMachine(snapshot)),
    advice: part('advice', advice(report.findings)),
  }
  const rows = shown.map(([one, state]) => ({
    id: rowId(one.name),
    html: rowOf(one, state, context),
  }))
  return {
    title: title.text,
    state: title.state,
    regions: [...Object.values(parts), ...rows],
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
        ${parts.headline.html}
      </header>
      <main id="builders">
        ${parts.notices.html}
        ${builders.length > 1 && filterForm(filter, [...new Set(systems)].sort())}
        <table id="fleet">
          <thead>
            <tr>
              ${columns.map(name => html`<th scope="col">${name}</th>`)}
            </tr>
          </thead>
          ${rows.map(row => row.html)}
        </table>
        ${parts.nobody.html} ${parts.alerts.html} ${parts.matrix.html}
        ${parts.machine.html} ${parts.advice.html}
      </main>`,
  }
}

const whyNobody = (
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
    : empty(files, snapshot)
}

const empty = (files: readonly string[], { problems }: Snapshot): Html =>
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
