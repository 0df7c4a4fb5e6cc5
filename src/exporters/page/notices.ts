import { fixesText, kindFixes, formatMessage } from '../../diagnosis/kinds/index.ts'
import { clientOutcomes } from '../../diagnosis/report.ts'
import type { ClientOutcome, Finding, Problem, Snapshot } from '../../model/index.ts'
import { html, type Html } from './html.ts'
import { capitalize } from './format.ts'

/** What stands above everything: doubts of the monitor about itself, and what is wrong with the list. */
export const notices = ({ monitor, problems }: Snapshot): Html =>
  html`${
    monitor.selfCheckFailed &&
    html`<p class="note">
      The monitor distrusts itself for the moment (a sleep, a jump of the clock, or most
      builders failed at once), so verdicts hold until everybody was looked at again.
    </p>`
  }${
    !monitor.lastReloadOk &&
    html`<p class="note">
      The newest configuration is bad and the old one still runs:
      <code>builder-monitor config check</code> tells why.
    </p>`
  }${
    monitor.stateFileOk === false &&
    html`<p class="note">
      The state file cannot be read or written: a restart will forget since when builders
      are down.
    </p>`
  }${problems.map(problemNote)}`

const problemNote = ({ file, line, message, isFatal }: Problem): Html =>
  html`<p class="note ${isFatal ? 'stops' : ''}">
    <code>${file}:${line}</code> ${message}
  </p>`

/** Is this machine fit to send builds? Only what is wrong has a line of its own. */
export const clientChecks = (snapshot: Snapshot): Html | null => {
  const checks = Object.entries(clientOutcomes(snapshot))
  if (!snapshot.client) return null
  const wrong = checks.filter(
    ([, { status }]) => status === 'failed' || status === 'degraded',
  )
  const names = (status: ClientOutcome['status']) =>
    checks.filter(([, one]) => one.status === status).map(([name]) => name)
  const [good, noData] = [names('ok'), names('skipped')]
  return html`<h2>This machine</h2>
    ${wrong.map(([name, outcome]) => checkNote(name, outcome))}
    <p class="quiet">
      ${good.length > 0 && `✔ ${good.join(', ')}. `}${noData.length > 0 && `– not told: ${noData.join(', ')}.`}
    </p>`
}

const checkNote = (name: string, outcome: ClientOutcome): Html | null =>
  outcome.status === 'ok'
    ? null
    : html`<p class="note ${outcome.status === 'failed' ? 'stops' : ''}">
        <b>${outcome.status === 'failed' ? '✘' : '▲'} ${name}</b>:
        ${capitalize(formatMessage(outcome.kind, outcome.params))}.
        ${fixesText(kindFixes(outcome.kind, outcome.params))}.
      </p>`

/** Nothing is broken by these now. */
export const findingList = (findings: readonly Finding[]): Html | null =>
  findings.length === 0
    ? null
    : html`<h2>Advice</h2>
        ${findings.map(
          ({ builder, message, fix }) =>
            html`<details>
              <summary>
                ${builder !== undefined && html`<b>${builder}</b> `}${message}
              </summary>
              <pre data-copy>${fix}</pre>
            </details>`,
        )}`
