import { builderReport, type ProbeReport } from '../diagnosis/report.ts'
import { reproduceCommand } from '../diagnosis/reproduce.ts'
import { reasonOf } from '../diagnosis/kinds.ts'
import { cleanText } from '../nix/clean.ts'
import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type Result,
  type Snapshot,
} from '../model.ts'
import { html, type Html } from './html.ts'
import { pageStyle } from './page-style.ts'
import { looks, milliseconds, since } from './page-words.ts'

/** Where the page of a builder is. */
export const builderPath = (name: string): string =>
  `/builders/${encodeURIComponent(name)}`

const refreshSeconds = 10
const evidenceChars = 4000
/** These ask over the connection that a login makes. */
const needLogin: readonly ProbeName[] = ['trust', 'system', 'disk', 'memory', 'locks']

/** One builder: each probe in the order in which they depend on each other, the first that fails open. `now` in Unix seconds. */
export const renderBuilder = (
  state: BuilderState,
  { monitor }: Snapshot,
  { now, version, isPaused }: { now: number; version: string; isPaused: boolean },
): string => {
  const report = builderReport(state, now)
  const { shape, word } = looks[report.state]
  const steps = probeNames.map(probe => stepOf(state, probe, report.probes[probe]))
  const open = steps.find(({ look }) => look === 'failed' || look === 'degraded')
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${!isPaused && html`<meta http-equiv="refresh" content="${refreshSeconds}" />`}
        <title>${shape} ${report.name} ${word} · builder-monitor</title>
        <style>
          ${pageStyle}
        </style>
      </head>
      <body>
        <a class="skip" href="#probes">To the probes</a>
        <header>
          <p class="brand"><a href="/">All builders</a></p>
          <h1>
            ${report.name} is ${word}, ${since(report.since, now, text => `for ${text}`)}
          </h1>
        </header>
        <main id="probes">
          ${report.cause && html`<p class="note ${report.state === 'down' ? 'stops' : ''}">${report.cause.reason}. ${report.cause.hint}</p>`}
          <p class="quiet">${state.builder.line}</p>
          ${steps.map(step =>
            stepHtml(state, step, {
              isOpen: step === open,
              now,
              interval: monitor.intervals[step.probe],
            }),
          )}
          ${failureOf(state, now)} ${history(state, now)}
        </main>
        <footer>
          <span>builder-monitor ${version}</span>
          <a href="/metrics">metrics</a>
          <a href="/api/v1/builders">API</a>
          ${isPaused ? html`<a href="${builderPath(report.name)}">refresh every ${refreshSeconds} s</a>` : html`<a href="${builderPath(report.name)}?pause">stop refreshing</a>`}
        </footer>
      </body>
    </html>`.markup
}

interface Step {
  readonly probe: ProbeName
  readonly look: ProbeReport['status'] | 'waits' | 'none'
  readonly report: ProbeReport | undefined
}

const stepOf = (
  { probes }: BuilderState,
  probe: ProbeName,
  report: ProbeReport | undefined,
): Step => {
  const { login } = probes
  const waits =
    needLogin.includes(probe) &&
    login?.conclusive?.outcome.status === 'failed' &&
    (report === undefined || report.at <= login.streak.since)
  return { probe, look: waits ? 'waits' : (report?.status ?? 'none'), report }
}

const words: Readonly<Record<Step['look'], string>> = {
  ok: '✔ ok',
  degraded: '▲ degraded',
  failed: '✘ failed',
  busy: '… busy',
  skipped: '– skipped',
  waits: '– not tried, waits for login',
  none: '? not tried yet',
}

const stepHtml = (
  { builder, probes }: BuilderState,
  { probe, look, report }: Step,
  { isOpen, now, interval }: { isOpen: boolean; now: number; interval: number },
): Html => {
  const isStale =
    report !== undefined && look !== 'waits' && now - report.at > 2 * interval
  const last = probes[probe]?.last.outcome
  const evidence = last && 'evidence' in last ? (last.evidence ?? '') : ''
  const isTold = report !== undefined && look !== 'waits'
  const body = html`<summary>
      <b>${probe}</b> ${isStale ? '? stale, was: ' : ''}${words[look]}
      ${isTold && since(report.at, now, text => `${text} ago`)}
      ${isTold && milliseconds(report.durationSeconds)}
    </summary>
    ${isTold && report.reason !== undefined && html`<p>${report.reason}. ${report.hint ?? ''}</p>`}
    <p class="label">See it yourself:</p>
    <pre>${reproduceCommand(builder, probe)}</pre>
    ${isTold && evidence !== '' && seen(evidence)}`
  return isOpen ? html`<details open>${body}</details>` : html`<details>${body}</details>`
}

const seen = (evidence: string): Html =>
  html`<p class="label">What was seen:</p>
    <pre>${cleanText(evidence, evidenceChars)}</pre>`

const failureOf = ({ failures }: BuilderState, now: number): Html | null => {
  const last = failures.at(-1)
  if (!last || last.outcome.status !== 'failed') return null
  const { kind, params, evidence } = last.outcome
  return html`<h2>The last failure</h2>
    <p>
      ${last.probe}, ${since(last.at, now, text => `${text} ago`)}:
      ${reasonOf(kind, params)}.
    </p>
    ${evidence !== undefined && evidence !== '' && seen(evidence)}`
}

const history = ({ history: results }: BuilderState, now: number): Html | null =>
  results.length === 0
    ? null
    : html`<h2>The last checks</h2>
        <details>
          <summary>${results.length} checks, the newest first</summary>
          <table>
            <thead>
              <tr>
                ${['When', 'Probe', 'Outcome', 'Took'].map(name => html`<th scope="col">${name}</th>`)}
              </tr>
            </thead>
            <tbody>
              ${[...results].reverse().map(one => historyRow(one, now))}
            </tbody>
          </table>
        </details>`

const historyRow = ({ probe, outcome, at, durationSeconds }: Result, now: number): Html =>
  html`<tr>
    <td>${since(at, now, text => `${text} ago`)}</td>
    <th scope="row">${probe}</th>
    <td>${words[outcome.status]}${'kind' in outcome && ` (${outcome.kind})`}</td>
    <td class="number">${milliseconds(durationSeconds)}</td>
  </tr>`
