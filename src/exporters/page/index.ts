import type { Snapshot, View } from '../../model/index.ts'
import type { Exporter } from '../exporter.ts'
import type { HttpResponse, HttpRequest, Route } from '../http/route.ts'
import { createAssets } from './assets.ts'
import { badgeRoutes } from './badge.ts'
import { builderView } from './builder.ts'
import { createFleetCache } from './fleet-cache.ts'
import { fleetView } from './fleet.ts'
import { renderPage, selectTheme } from './layout.ts'
import { createLiveUpdates } from './live-updates.ts'
import { runbooksPath, runbookView, type AlertRunbooks } from './runbooks.ts'
import type { PageView } from './view.ts'
import { fleetState } from '../../diagnosis/headline.ts'

export interface PageOptions {
  /** Version of builder-monitor. */
  readonly version: string
  /** Files that were searched for builders, shown when there are none. */
  readonly files?: () => readonly string[]
  readonly alertRunbooks?: AlertRunbooks
  /** Responds to `/builders/NAME?debug`; null for an unknown builder. */
  readonly debug?: (request: HttpRequest, snapshot: Snapshot) => HttpResponse | null
  /** Unix seconds. */
  readonly now?: () => number
}

const buildersPath = '/builders/'

/**
 * Serves the status page at / and /builders/NAME. The pages are complete without JavaScript; with it they update live.
 * `?pause` stops updates.
 */
export const createPageExporter = (options: PageOptions): Exporter => ({
  name: 'page',
  routes: (view: View): readonly Route[] => {
    const { version, files = () => [], now = () => Date.now() / 1000 } = options
    const assets = createAssets()
    const cache = createFleetCache()
    const renderView = (address: string): PageView | null => {
      const [path = '/', query] = address.split('?', 2) as [string, string?]
      const snapshot = view.read()
      if (path === '/')
        return fleetView(
          snapshot,
          new URLSearchParams(query),
          { now: now(), files: files() },
          cache,
        )
      const state = path.startsWith(buildersPath)
        ? snapshot.builders.get(path.slice(buildersPath.length))
        : undefined
      return state ? builderView(state, snapshot, now()) : null
    }
    const live = createLiveUpdates(view, renderView)
    const commonLayout = (request: HttpRequest) => ({
      version,
      assets,
      theme: selectTheme(request),
      isThemeChosen: request.query.has('theme'),
      now: now(),
    })
    const page = (request: HttpRequest): HttpResponse => {
      const address = canonicalAddress(request)
      const opened = live.open(address)
      if (!opened)
        return {
          status: 404,
          type: 'text/plain; charset=utf-8',
          body: 'no such builder: / lists all builders\n',
        }
      const isPaused = request.query.has('pause')
      return renderPage(opened.view, {
        ...commonLayout(request),
        address: isPaused ? withPause(address) : address,
        live: isPaused ? 'paused' : { from: `${opened.cursor} ${address}` },
      })
    }
    const runbook = (request: HttpRequest): HttpResponse => {
      const name = request.path.slice(runbooksPath.length)
      const content = runbookView(name, options.alertRunbooks ?? new Map())
      if (!content)
        return {
          status: 404,
          type: 'text/plain; charset=utf-8',
          body: `no such runbook: ${runbooksPath} lists all runbooks\n`,
        }
      const state = fleetState(view.read())
      const document = { ...content, state, regions: [], order: [] }
      return renderPage(document, {
        ...commonLayout(request),
        address: request.path,
        live: 'static',
      })
    }
    return [
      { method: 'GET', path: '/', handle: page },
      { method: 'GET', path: runbooksPath, handle: runbook },
      {
        method: 'GET',
        path: buildersPath,
        handle: request =>
          (request.query.has('debug') && options.debug?.(request, view.read())) ||
          page(request),
      },
      live.route,
      ...assets.routes,
      ...badgeRoutes(() => view.read()),
    ]
  },
})

/** Returns the path with the query parameters that affect the content of the page. */
const canonicalAddress = ({ path, query }: HttpRequest): string => {
  if (path !== '/') return path
  const params = new URLSearchParams()
  for (const key of ['name', 'state', 'system']) {
    const value = query.get(key)
    if (value) params.set(key, value)
  }
  return params.size > 0 ? `/?${params.toString()}` : '/'
}

const withPause = (address: string): string =>
  `${address}${address.includes('?') ? '&' : '?'}pause=`
