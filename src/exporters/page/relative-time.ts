import { formatDuration } from '../../text/duration.ts'
import { html, type Html } from './html.ts'

/**
 * Renders the time since `at` (Unix seconds) as a `time` element. `{}` in the template stands for the duration. The
 * script of the page keeps the text up to date.
 */
export const relativeTime = (at: number, now: number, template: string): Html => {
  const date = new Date(at * 1000)
  if (Number.isNaN(date.getTime())) return html``
  const iso = `${date.toISOString().slice(0, 19)}Z`
  return html`<time
    datetime="${iso}"
    title="${iso.replace('T', ' ').replace('Z', ' UTC')}"
    data-template="${template}"
    >${template.replace('{}', formatDuration(now - at))}</time
  >`
}
