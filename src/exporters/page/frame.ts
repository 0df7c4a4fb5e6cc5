import type { HttpAnswer, HttpRequest } from '../exporter.ts'
import type { Assets } from './assets.ts'
import { html, type Html } from './html.ts'
import { iconOf } from './icon.ts'
import type { PageView } from './view.ts'

export interface Frame {
  /** Our own version. */
  readonly version: string
  readonly assets: Assets
  /** Where the page is, with its query. */
  readonly address: string
  /** What the live stream goes on from; `paused` where the page stands still, `still` where there is nothing to follow. */
  readonly live: { readonly from: string } | 'paused' | 'still'
  readonly theme: Theme
  /** It was chosen just now, and is to be remembered. */
  readonly isThemeNew: boolean
  /** Unix seconds. */
  readonly now: number
}

export const themes = ['auto', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const refreshSeconds = 30
const yearSeconds = 31_536_000

/** The whole page around a view, as an answer. */
export const framed = (view: PageView, frame: Frame): HttpAnswer => ({
  status: 200,
  type: 'text/html; charset=utf-8',
  headers: frame.isThemeNew
    ? {
        'set-cookie': `theme=${frame.theme}; Path=/; Max-Age=${yearSeconds}; SameSite=Strict; HttpOnly`,
      }
    : {},
  body: documentOf(view, frame).markup,
})

const documentOf = (view: PageView, frame: Frame): Html =>
  html`<!doctype html>
    <html
      lang="en"
      data-theme="${frame.theme}"
      data-now="${frame.now.toFixed(3)}"
      data-live="${typeof frame.live === 'object' ? frame.live.from : ''}"
    >
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${view.title} · builder-monitor</title>
        <link rel="icon" id="icon" href="${iconOf(view.state)}" />
        <link rel="stylesheet" href="${frame.assets.stylePath}" />
        ${
          frame.live !== 'paused' &&
          html`<script type="module" src="${frame.assets.scriptPath}"></script>
            ${
              frame.live !== 'still' &&
              html`<noscript
                ><meta http-equiv="refresh" content="${refreshSeconds}"
              /></noscript>`
            }`
        }
      </head>
      <body>
        ${view.body}
        <footer>
          <span>builder-monitor ${frame.version}</span>
          <span id="live" class="quiet">${frame.live === 'paused' ? 'paused' : ''}</span>
          ${footLinks.map(([path, word]) => html`<a href="${path}">${word}</a> `)}
          ${
            frame.live === 'paused'
              ? html`<a href="${addressWith(frame.address, 'pause', null)}">go live</a>`
              : frame.live !== 'still' &&
                html`<a href="${addressWith(frame.address, 'pause', '')}">pause</a>`
          }
          <span
            >Theme:
            ${themes.map(theme =>
              theme === frame.theme
                ? html`<b>${theme}</b> `
                : html`<a href="${addressWith(frame.address, 'theme', theme)}"
                    >${theme}</a
                  > `,
            )}</span
          >
        </footer>
        <p id="news" class="hidden" role="status" aria-live="polite"></p>
      </body>
    </html>`

const footLinks = [
  ['/metrics', 'metrics'],
  ['/api/v1/builders', 'API'],
  ['/config', 'configuration'],
  ['/runbooks/', 'runbooks'],
  ['/-/healthy', 'alive?'],
  ['/-/ready', 'ready?'],
] as const

/** The same page with another word in its query; null takes it away. */
const addressWith = (address: string, key: string, value: string | null): string => {
  const [path = '/', query = ''] = address.split('?', 2) as [string, string?]
  const params = new URLSearchParams(query)
  if (value === null) params.delete(key)
  else params.set(key, value)
  const text = params.toString()
  return text === '' ? path : `${path}?${text}`
}

/** What the reader chose: just now in the address, or before in a cookie of ours. */
export const themeOf = ({ query, headers }: HttpRequest): Theme => {
  const asked =
    query.get('theme') ?? /(?:^|;\s*)theme=(\w+)/.exec(headers.cookie ?? '')?.[1]
  return themes.find(theme => theme === asked) ?? 'auto'
}
