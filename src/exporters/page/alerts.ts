import type { Alert, AlertsState } from '../../model.ts'
import { html, type Html } from './html.ts'
import { since } from './words.ts'

/** The daemon's own alerts: what fires and what is about to. Nothing where it does not alert by itself. */
export const alerts = (state: AlertsState | undefined, now: number): Html | null => {
  if (!state) return null
  const of = (wanted: Alert['state']) => state.list.filter(one => one.state === wanted)
  const [firing, pending] = [of('firing'), of('pending')]
  return html`<h2>Alerts</h2>
    ${firing.map(one => row(one, now))}
    <p class="quiet">
      ${firing.length === 0 && 'None fires. '}${pending.length > 0 && `About to, if it lasts: ${pending.map(nameOf).join(', ')}.`}
    </p>`
}

/** Alerts come in the order of their names; what tells them apart is in the labels. */
const nameOf = ({ name, labels }: Alert): string => {
  const about = labels['builder'] ?? labels['system'] ?? labels['check']
  return about === undefined ? name : `${name} (${about})`
}

const row = (alert: Alert, now: number): Html => {
  const { annotations, labels, startsAt } = alert
  return html`<p class="note ${labels['severity'] === 'critical' ? 'stops' : ''}">
    <b>${nameOf(alert)}</b>, ${labels['severity'] ?? ''},
    ${startsAt !== null && since(startsAt, now, 'for {}')}:
    ${annotations['description'] ?? ''}
    ${annotations['runbook_url'] !== undefined && html`<a href="${annotations['runbook_url']}">runbook</a>`}
  </p>`
}
