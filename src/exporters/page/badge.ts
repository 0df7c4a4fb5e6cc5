import { sanitize } from '../../text/sanitize.ts'
import type { Snapshot, State } from '../../model/index.ts'
import type { HttpResponse, Route } from '../http/route.ts'
import { html } from './html.ts'
import { fleetState } from '../../diagnosis/headline.ts'
import { stateStyles } from './state-style.ts'

/** Serves /badge.svg for all builders and /badge/NAME.svg for one: SVG badges to embed in other pages. */
export const badgeRoutes = (read: () => Snapshot): readonly Route[] => [
  {
    method: 'GET',
    path: '/badge.svg',
    handle: () => badge('Nix builders', fleetState(read())),
  },
  {
    method: 'GET',
    path: '/badge/',
    handle: ({ path }) => {
      const name = /^\/badge\/(.+)\.svg$/.exec(path)?.[1] ?? ''
      const state = read().builders.get(name)
      return state
        ? badge(name, state.health.state)
        : {
            status: 404,
            type: 'text/plain; charset=utf-8',
            body: 'no such builder: use /badge/NAME.svg, or /badge.svg for all\n',
          }
    },
  },
]

/** Average width of a letter in an 11 px sans-serif font; textLength makes the text fit. */
const letterWidth = 6.5
const padding = 6

const badge = (name: string, state: State): HttpResponse => {
  const label = sanitize(name, 60)
  const { icon, label: word, color } = stateStyles[state]
  const text = `${icon} ${word}`
  const textWidth = (one: string) =>
    Math.ceil([...one].length * letterWidth) + 2 * padding
  const [left, right] = [textWidth(label), textWidth(text)]
  const textElement = (one: string, x: number, width: number) =>
    html`<text
      x="${x + padding}"
      y="14"
      textLength="${width - 2 * padding}"
      lengthAdjust="spacingAndGlyphs"
      >${one}</text
    >`
  return {
    status: 200,
    type: 'image/svg+xml; charset=utf-8',
    body: html`<svg
      xmlns="http://www.w3.org/2000/svg"
      width="${left + right}"
      height="20"
      role="img"
      aria-label="${label}: ${word}"
    >
      <title>${label}: ${word}</title>
      <rect width="${left}" height="20" fill="#3b424d" />
      <rect x="${left}" width="${right}" height="20" fill="${color}" />
      <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
        ${textElement(label, 0, left)}${textElement(text, left, right)}
      </g>
    </svg>`.markup,
  }
}
