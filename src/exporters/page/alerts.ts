import type { Alert, AlertsState } from '../../model/index.ts'
import { html, type Html } from './html.ts'
import { relativeTime } from './relative-time.ts'

/** Renders the built-in alerts that are firing or pending; null when alerting is off. */
export const alertList = (state: AlertsState | undefined, now: number): Html | null => {
  if (!state) return null
  const inState = (wanted: Alert['state']) =>
    state.list.filter(alert => alert.state === wanted)
  const [firing, pending] = [inState('firing'), inState('pending')]
  return html`<h2>Alerts</h2>
    ${firing.map(alert => alertNote(alert, now))}
    <p class="quiet">
      ${firing.length === 0 && 'No alerts. '}${pending.length > 0 && `Pending: ${pending.map(alertTitle).join(', ')}.`}
    </p>`
}

/** Names an alert with the label that distinguishes it from others of its name. */
const alertTitle = ({ name, labels }: Alert): string => {
  const subject = labels['builder'] ?? labels['system'] ?? labels['check']
  return subject === undefined ? name : `${name} (${subject})`
}

const alertNote = (alert: Alert, now: number): Html => {
  const { annotations, labels, startsAt } = alert
  return html`<p class="note ${labels['severity'] === 'critical' ? 'stops' : ''}">
    <b>${alertTitle(alert)}</b>, ${labels['severity'] ?? ''},
    ${startsAt !== null && relativeTime(startsAt, now, 'for {}')}:
    ${annotations['description'] ?? ''}
    ${annotations['runbook_url'] !== undefined && html`<a href="${annotations['runbook_url']}">runbook</a>`}
  </p>`
}
