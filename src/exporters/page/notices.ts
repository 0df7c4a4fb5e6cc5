import { kindFixes, formatMessage } from '../../diagnosis/kinds/index.ts'
import { releasedText } from '../../diagnosis/out-of-service.ts'
import { clientOutcomes } from '../../diagnosis/client-outcomes.ts'
import type { ClientOutcome, Finding, Problem, Snapshot } from '../../model/index.ts'
import { fixList } from './fixes.ts'
import { html, type Html } from './html.ts'
import { capitalize } from '../../text/capitalize.ts'

/** Renders problems of the monitor and of the builders list. */
export const notices = ({ monitor, problems, quarantine }: Snapshot): Html =>
  html`${
    monitor.selfCheckFailed &&
    html`<p class="note">
      Results on hold: the self-check failed (suspend, clock jump, or most builders failed
      at once). States stay as they are until every builder was probed again.
    </p>`
  }${
    !monitor.lastReloadOk &&
    html`<p class="note">
      The newest configuration is invalid; the previous one stays active. Run
      <code>builder-monitor config check</code> to see the errors.
    </p>`
  }${
    monitor.stateFileOk === false &&
    html`<p class="note">
      The state file is not readable or writable: a restart will lose the time since which
      builders are down.
    </p>`
  }${releasedNote(quarantine)}${problems.map(problemNote)}`

/** Renders why builds are not kept away although they should be. */
export const releasedNote = (quarantine: Snapshot['quarantine']): Html | null => {
  const released = releasedText(quarantine)
  return released === null ? null : html`<p class="note">${capitalize(released)}.</p>`
}

const problemNote = ({ file, line, message, isFatal }: Problem): Html =>
  html`<p class="note ${isFatal ? 'stops' : ''}">
    <code>${file}:${line}</code> ${message}
  </p>`

/** Renders the checks of this machine. Failed and degraded ones have a line each. */
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
      ${good.length > 0 && `✔ ${good.join(', ')}. `}${noData.length > 0 && `– skipped: ${noData.join(', ')}.`}
    </p>`
}

const checkNote = (name: string, outcome: ClientOutcome): Html | null =>
  outcome.status === 'ok'
    ? null
    : html`<div class="note ${outcome.status === 'failed' ? 'stops' : ''}">
        <p>
          <b>${outcome.status === 'failed' ? '✘' : '▲'} ${name}</b>:
          ${capitalize(formatMessage(outcome.kind, outcome.params))}.
        </p>
        ${fixList(kindFixes(outcome.kind, outcome.params))}
      </div>`

/** Renders configuration findings. */
export const findingList = (findings: readonly Finding[]): Html | null =>
  findings.length === 0
    ? null
    : html`<h2>Findings</h2>
        ${findings.map(
          ({ builder, message, fix }) =>
            html`<details>
              <summary>
                ${builder !== undefined && html`<b>${builder}</b> `}${message}
              </summary>
              <pre data-copy>${fix}</pre>
            </details>`,
        )}`
