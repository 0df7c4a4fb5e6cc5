import type { View } from '../../model.ts'
import type { Exporter, HttpAnswer, HttpRequest, Route } from '../exporter.ts'
import { debugAnswer, type DebugOptions } from '../debug.ts'
import { createAssets } from './assets.ts'
import { badgeRoutes } from './badge.ts'
import { builderView } from './builder.ts'
import { fleetView } from './fleet.ts'
import { framed, themeOf } from './frame.ts'
import { createLive } from './live.ts'
import { runbooksPath, runbookView, type AlertRunbooks } from './runbooks.ts'
import type { PageView } from './view.ts'
import { fleetState } from './words.ts'

export interface PageOptions extends DebugOptions {
  /** Our own version. */
  readonly version: string
  /** Where builders were looked for, to name them when there are none. */
  readonly files?: () => readonly string[]
  readonly alertRunbooks?: AlertRunbooks
  /** Unix seconds. */
  readonly now?: () => number
}

const builders = '/builders/'

/**
 * GET /: the whole fleet, and /builders/NAME, complete without any script; with it they are live. `?pause` stands still for
 * reading.
 */
export const createPageExporter = (options: PageOptions): Exporter => ({
  name: 'page',
  routes: (view: View): readonly Route[] => {
    const { version, files = () => [], now = () => Date.now() / 1000 } = options
    const assets = createAssets()
    const show = (address: string): PageView | null => {
      const [path = '/', query] = address.split('?', 2) as [string, string?]
      const snapshot = view.read()
      if (path === '/')
        return fleetView(snapshot, new URLSearchParams(query), {
          now: now(),
          files: files(),
        })
      const state = path.startsWith(builders)
        ? snapshot.builders.get(path.slice(builders.length))
        : undefined
      return state ? builderView(state, snapshot, now()) : null
    }
    const live = createLive(view, show)
    const commonFrame = (request: HttpRequest) => ({
      version,
      assets,
      theme: themeOf(request),
      isThemeNew: request.query.has('theme'),
      now: now(),
    })
    const page = (request: HttpRequest): HttpAnswer => {
      const address = addressOf(request)
      const opened = live.open(address)
      if (!opened)
        return {
          status: 404,
          type: 'text/plain; charset=utf-8',
          body: 'no such builder is configured: / lists those that are\n',
        }
      const isPaused = request.query.has('pause')
      return framed(opened.view, {
        ...commonFrame(request),
        address: isPaused ? withPause(address) : address,
        live: isPaused ? 'paused' : { from: `${opened.mark} ${address}` },
      })
    }
    const runbook = (request: HttpRequest): HttpAnswer => {
      const name = request.path.slice(runbooksPath.length)
      const found = runbookView(name, options.alertRunbooks ?? new Map())
      if (!found)
        return {
          status: 404,
          type: 'text/plain; charset=utf-8',
          body: `no such runbook: ${runbooksPath} lists those that are\n`,
        }
      const state = fleetState(view.read())
      const document = { ...found, state, regions: [], order: [] }
      return framed(document, {
        ...commonFrame(request),
        address: request.path,
        live: 'still',
      })
    }
    return [
      { method: 'GET', path: '/', handle: page },
      { method: 'GET', path: runbooksPath, handle: runbook },
      {
        method: 'GET',
        path: builders,
        handle: request =>
          (request.query.has('debug') && debugAnswer(request, view.read(), options)) ||
          page(request),
      },
      live.route,
      ...assets.routes,
      ...badgeRoutes(() => view.read()),
    ]
  },
})

/** What decides what a page shows: nothing else of the query is kept. */
const addressOf = ({ path, query }: HttpRequest): string => {
  if (path !== '/') return path
  const wishes = new URLSearchParams()
  for (const key of ['name', 'state', 'system']) {
    const wish = query.get(key)
    if (wish) wishes.set(key, wish)
  }
  return wishes.size > 0 ? `/?${wishes.toString()}` : '/'
}

const withPause = (address: string): string =>
  `${address}${address.includes('?') ? '&' : '?'}pause=`
