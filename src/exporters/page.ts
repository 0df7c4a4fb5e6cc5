import { reportOf, type Report } from '../diagnosis/report.ts'
import type { Problem, Snapshot, View } from '../model.ts'
import type { Exporter, Route } from './exporter.ts'
import { html, type Html } from './html.ts'
import { renderBuilder } from './page-builder.ts'
import { rowOf } from './page-row.ts'
import { iconColours, iconOf, pageStyle } from './page-style.ts'
import { byUrgency, headlineOf, titleOf } from './page-words.ts'

export interface PageOptions {
  /** Our own version. */
  readonly version: string
  /** Where builders were looked for, to name them when there are none. */
  readonly files?: () => readonly string[]
  /** Unix seconds. */
  readonly now?: () => number
}

const refreshSeconds = 10

/** GET /: the whole fleet at a glance, and /builders/NAME, complete without any script. `/?pause` stands still for reading. */
export const createPageExporter = (options: PageOptions): Exporter => ({
  name: 'page',
  routes: (view: View): readonly Route[] => [
    {
      method: 'GET',
      path: '/',
      handle: ({ query }) => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: renderPage(view.read(), options, query.has('pause')),
      }),
    },
    {
      method: 'GET',
      path: '/builders/',
      handle: ({ path, query }) => {
        const snapshot = view.read()
        const state = snapshot.builders.get(path.slice('/builders/'.length))
        if (!state)
          return {
            status: 404,
            type: 'text/plain; charset=utf-8',
            body: 'no such builder is configured: / lists those that are\n',
          }
        const { version, now = () => Date.now() / 1000 } = options
        const isPaused = query.has('pause')
        return {
          status: 200,
          type: 'text/html; charset=utf-8',
          body: renderBuilder(state, snapshot, { now: now(), version, isPaused }),
        }
      },
    },
  ],
})

const renderPage = (
  snapshot: Snapshot,
  { version, files = () => [], now = () => Date.now() / 1000 }: PageOptions,
  isPaused: boolean,
): string => {
  const whole = reportOf(snapshot)
  const report: Report = { ...whole, builders: [...whole.builders].sort(byUrgency) }
  const { ready, suspect, lastReloadOk } = snapshot.monitor
  const time = now()
  const title = titleOf(report.builders, ready)
  const { markup } = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${!isPaused && html`<meta http-equiv="refresh" content="${refreshSeconds}" />`}
        <title>${title.text} · builder-monitor</title>
        <link rel="icon" href="${iconOf(iconColours[title.state])}" />
        <style>
          ${pageStyle}
        </style>
      </head>
      <body>
        <a class="skip" href="#builders">To the builders</a>
        <header>
          <p class="brand">
            <b>builder-monitor</b>
            <span>Nix remote builders as this machine sees them</span>${
              snapshot.source === 'demo' &&
              html` <span>demo fleet, nothing of it is yours</span>`
            }
          </p>
          <h1>${headlineOf(report, ready, time)}</h1>
        </header>
        <main id="builders">
          ${suspect && html`<p class="note">The monitor distrusts itself for the moment (a sleep, a jump of the clock, or most builders failed at once), so verdicts hold until everybody was looked at again.</p>`}
          ${!lastReloadOk && html`<p class="note">The newest configuration is bad and the old one still runs: <code>builder-monitor config check</code> tells why.</p>`}
          ${snapshot.problems.map(problemNote)}
          ${report.builders.length > 0 ? table(report, snapshot, time) : empty(files(), snapshot)}
        </main>
        <footer>
          <span>builder-monitor ${version}</span>
          <a href="/metrics">metrics</a>
          <a href="/api/v1/builders">API</a>
          <a href="/-/healthy">alive?</a>
          <a href="/-/ready">ready?</a>
          ${isPaused ? html`<a href="/">refresh every ${refreshSeconds} s</a>` : html`<a href="/?pause">stop refreshing</a>`}
        </footer>
      </body>
    </html> `
  return markup
}

const table = (report: Report, snapshot: Snapshot, now: number): Html => {
  const context = { now, intervals: snapshot.monitor.intervals }
  return html`<table>
    <thead>
      <tr>
        ${['State', 'Builder', 'Systems', 'Slots', 'Login', 'Free space', 'Since'].map(name => html`<th scope="col">${name}</th>`)}
      </tr>
    </thead>
    ${report.builders.map(one => {
      const state = snapshot.builders.get(one.name)
      return state ? rowOf(one, state, context) : null
    })}
  </table>`
}

const problemNote = ({ file, line, message, stopsBuilds }: Problem): Html =>
  html`<p class="note ${stopsBuilds ? 'stops' : ''}">
    <code>${file}:${line}</code> ${message}
  </p>`

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
    <pre>ssh-ng://user@host x86_64-linux /etc/nix/builder_key 4 1 big-parallel - -</pre>
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
