import type { HttpResponse, HttpRequest } from '../http/route.ts'
import type { Assets } from './assets.ts'
import { html, type Html } from './html.ts'
import { faviconUrl } from './favicon.ts'
import type { PageView } from './view.ts'

export interface PageLayout {
  /** Version of builder-monitor. */
  readonly version: string
  readonly assets: Assets
  /** Path with query of the page. */
  readonly address: string
  /** The cursor of the live updates and their address; `paused` by the reader; `static` for pages without updates. */
  readonly live: { readonly from: string } | 'paused' | 'static'
  readonly theme: Theme
  /** True when the request chose the theme, so the cookie must be set. */
  readonly isThemeChosen: boolean
  /** Unix seconds. */
  readonly now: number
}

export const themes = ['auto', 'light', 'dark'] as const
export type Theme = (typeof themes)[number]

const refreshSeconds = 30
const yearSeconds = 31_536_000

/** Renders a view as a complete page. */
export const renderPage = (view: PageView, layout: PageLayout): HttpResponse => ({
  status: 200,
  type: 'text/html; charset=utf-8',
  headers: layout.isThemeChosen
    ? {
        'set-cookie': `theme=${layout.theme}; Path=/; Max-Age=${yearSeconds}; SameSite=Strict; HttpOnly`,
      }
    : {},
  body: renderDocument(view, layout).markup,
})

const renderDocument = (view: PageView, layout: PageLayout): Html =>
  html`<!doctype html>
    <html
      lang="en"
      data-theme="${layout.theme}"
      data-now="${layout.now.toFixed(3)}"
      data-live="${typeof layout.live === 'object' ? layout.live.from : ''}"
    >
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${view.title} · builder-monitor</title>
        <link rel="icon" id="icon" href="${faviconUrl(view.state)}" />
        <link rel="stylesheet" href="${layout.assets.stylePath}" />
        ${
          layout.live !== 'paused' &&
          html`<script type="module" src="${layout.assets.scriptPath}"></script>
            ${
              layout.live !== 'static' &&
              html`<noscript
                ><meta http-equiv="refresh" content="${refreshSeconds}"
              /></noscript>`
            }`
        }
      </head>
      <body>
        ${view.body}
        <footer>
          <span>builder-monitor ${layout.version}</span>
          <span id="live" class="quiet">${layout.live === 'paused' ? 'paused' : ''}</span>
          ${footerLinks.map(([path, word]) => html`<a href="${path}">${word}</a> `)}
          ${
            layout.live === 'paused'
              ? html`<a href="${withParam(layout.address, 'pause', null)}">go live</a>`
              : layout.live !== 'static' &&
                html`<a href="${withParam(layout.address, 'pause', '')}">pause</a>`
          }
          <span
            >Theme:
            ${themes.map(theme =>
              theme === layout.theme
                ? html`<b>${theme}</b> `
                : html`<a href="${withParam(layout.address, 'theme', theme)}"
                    >${theme}</a
                  > `,
            )}</span
          >
        </footer>
        <p id="announcement" class="hidden" role="status" aria-live="polite"></p>
      </body>
    </html>`

const footerLinks = [
  ['/metrics', 'metrics'],
  ['/api/v1/builders', 'API'],
  ['/config', 'configuration'],
  ['/runbooks/', 'runbooks'],
  ['/-/healthy', 'liveness'],
  ['/-/ready', 'readiness'],
] as const

/** Returns the address with a query parameter set, or removed for null. */
const withParam = (address: string, key: string, value: string | null): string => {
  const [path = '/', query = ''] = address.split('?', 2) as [string, string?]
  const params = new URLSearchParams(query)
  if (value === null) params.delete(key)
  else params.set(key, value)
  const text = params.toString()
  return text === '' ? path : `${path}?${text}`
}

/** Returns the theme from the query, else from the cookie. */
export const selectTheme = ({ query, headers }: HttpRequest): Theme => {
  const requested =
    query.get('theme') ?? /(?:^|;\s*)theme=(\w+)/.exec(headers.cookie ?? '')?.[1]
  return themes.find(theme => theme === requested) ?? 'auto'
}
