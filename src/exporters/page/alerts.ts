import type { Alert, AlertsState } from '../../model/index.ts'
import { html, type Html } from './html.ts'
import { since } from './format.ts'

/** The daemon's own alerts: what fires and what is about to. Nothing where it does not alert by itself. */
export const alertList = (state: AlertsState | undefined, now: number): Html | null => {
  if (!state) return null
  const inState = (wanted: Alert['state']) =>
    state.list.filter(one => one.state === wanted)
  const [firing, pending] = [inState('firing'), inState('pending')]
  return html`<h2>Alerts</h2>
    ${firing.map(one => alertRow(one, now))}
    <p class="quiet">
      ${firing.length === 0 && 'None fires. '}${pending.length > 0 && `About to, if it lasts: ${pending.map(alertTitle).join(', ')}.`}
    </p>`
}

/** Alerts come in the order of their names; what tells them apart is in the labels. */
const alertTitle = ({ name, labels }: Alert): string => {
  const about = labels['builder'] ?? labels['system'] ?? labels['check']
  return about === undefined ? name : `${name} (${about})`
}

const alertRow = (alert: Alert, now: number): Html => {
  const { annotations, labels, startsAt } = alert
  return html`<p class="note ${labels['severity'] === 'critical' ? 'stops' : ''}">
    <b>${alertTitle(alert)}</b>, ${labels['severity'] ?? ''},
    ${startsAt !== null && since(startsAt, now, 'for {}')}:
    ${annotations['description'] ?? ''}
    ${annotations['runbook_url'] !== undefined && html`<a href="${annotations['runbook_url']}">runbook</a>`}
  </p>`
}
