import { randomBytes } from 'node:crypto'
import type { View } from '../../model/index.ts'
import { createEventStreams, type Subscriber } from '../http/server-sent-events.ts'
import type { Route } from '../http/route.ts'
import { faviconUrl } from './favicon.ts'
import type { Html } from './html.ts'
import type { PageView } from './view.ts'

/** Keeps open pages up to date. */
export interface LiveUpdates {
  /** Renders a page, with the cursor from which its stream continues; null for an unknown page. */
  open(address: string): { readonly view: PageView; readonly cursor: string } | null
  /** GET /live?page=ADDRESS&since=CURSOR */
  readonly route: Route
}

const maxStreams = 100
/** Maximum number of cached addresses; filters create any number of them. */
const maxAddresses = 64
/** Maximum number of different addresses that are followed, each of which is compared with its last state every second. */
const maxFollowedAddresses = 32
const paceMs = 1000
/** Rows become stale without new results, too. */
const tickMs = 5000

/** `render` returns the current page of an address. */
export const createLiveUpdates = (
  { subscribe }: View,
  render: (address: string) => PageView | null,
): LiveUpdates => {
  // After a restart, pages may have another script and other regions
  const instanceId = randomBytes(6).toString('base64url')
  const pageStreams = new Map<string, PageStream>()
  const isSame = createComparison()
  const { open } = createEventStreams(maxStreams)

  const findOrCreate = (address: string): PageStream => {
    const known = pageStreams.get(address)
    const pageStream =
      known ?? createPageStream(address, `${instanceId}.${randomId()}`, render, isSame)
    // Keep the most recently used stream last
    pageStreams.delete(address)
    pageStreams.set(address, pageStream)
    for (const [old, { hasSubscribers }] of pageStreams)
      if (pageStreams.size > maxAddresses && !hasSubscribers() && old !== address)
        pageStreams.delete(old)
    return pageStream
  }

  let stopRefreshing: (() => void) | null = null
  const refreshAll = () => {
    for (const pageStream of pageStreams.values())
      if (pageStream.hasSubscribers()) pageStream.refresh()
  }
  /** Runs only while there are subscribers. */
  const startRefreshing = () => {
    if (stopRefreshing) return
    let due: NodeJS.Timeout | null = null
    const tick = setInterval(refreshAll, tickMs)
    const unsubscribe = subscribe(() => {
      due ??= setTimeout(() => {
        due = null
        refreshAll()
      }, paceMs)
    })
    stopRefreshing = () => {
      clearInterval(tick)
      if (due) clearTimeout(due)
      unsubscribe()
      stopRefreshing = null
    }
  }

  return {
    open: address => {
      const pageStream = findOrCreate(address)
      const view = pageStream.refresh()
      return view ? { view, cursor: pageStream.cursor() } : null
    },
    route: {
      method: 'GET',
      path: '/live',
      handle: ({ query, headers }) => {
        const address = query.get('page') ?? '/'
        const since = String(headers['last-event-id'] ?? query.get('since') ?? '')
        const followed = [...pageStreams].filter(([, one]) => one.hasSubscribers())
        if (
          followed.length >= maxFollowedAddresses &&
          !followed.some(([known]) => known === address)
        )
          return {
            status: 503,
            type: 'text/plain; charset=utf-8',
            body: `too many different pages are followed (limit ${maxFollowedAddresses})\n`,
          }
        return open(stream => {
          if (since !== '' && !since.startsWith(`${instanceId}.`))
            return {
              flush: () => stream.send({ event: 'reload', id: instanceId, data: null }),
              end: () => undefined,
            }
          const pageStream = findOrCreate(address)
          const subscriber: Subscriber & { sent: number } = {
            sent: pageStream.parseVersion(since),
            flush: () => {
              if (stream.isPaused) return
              const update = pageStream.changesSince(subscriber.sent)
              subscriber.sent = pageStream.version()
              if (update)
                stream.send({ event: 'update', id: pageStream.cursor(), data: update })
            },
            end: () => {
              pageStream.remove(subscriber)
              if (![...pageStreams.values()].some(one => one.hasSubscribers()))
                stopRefreshing?.()
            },
          }
          pageStream.add(subscriber)
          startRefreshing()
          pageStream.refresh()
          return subscriber
        })
      },
    },
  }
}

const randomId = () => randomBytes(4).toString('base64url')

/** The changes that bring an open page up to date. */
interface Update {
  /** True when the page no longer exists. */
  readonly removed?: true
  readonly title?: { readonly text: string; readonly icon: string }
  /** Markup by id. */
  readonly parts?: Readonly<Record<string, string>>
  readonly order?: readonly string[]
}

/** One address with the version at which each of its regions changed. */
interface PageStream {
  /** Renders the page and notifies subscribers of changes. */
  refresh(): PageView | null
  changesSince(version: number): Update | null
  version(): number
  cursor(): string
  /** Returns the version of a cursor; -1 for a cursor of another stream, so everything is sent. */
  parseVersion(cursor: string): number
  add(subscriber: Subscriber): void
  remove(subscriber: Subscriber): void
  hasSubscribers(): boolean
}

const createPageStream = (
  address: string,
  id: string,
  render: (address: string) => PageView | null,
  isSame: (a: Html | string, b: Html | string) => boolean,
): PageStream => {
  const subscribers = new Set<Subscriber>()
  let version = 0
  let view: PageView | null = null
  let regionVersions: ReadonlyMap<string, RegionVersion> = new Map()

  const refresh = (): PageView | null => {
    view = render(address)
    const next = version + 1
    const keys: (readonly [string, Html | string])[] = view
      ? [
          ['title', `${view.state} ${view.title}`],
          ['order', view.order.join(' ')],
          ...view.regions.map(({ id, html }) => [`#${id}`, html] as const),
        ]
      : [['removed', '']]
    const previous = regionVersions
    regionVersions = new Map(
      keys.map(([name, key]) => {
        const known = previous.get(name)
        return [
          name,
          { key, version: known && isSame(known.key, key) ? known.version : next },
        ]
      }),
    )
    if (keys.some(([name]) => regionVersions.get(name)?.version === next)) {
      version = next
      for (const subscriber of subscribers) subscriber.flush()
    }
    return view
  }

  return {
    refresh,
    changesSince: from => {
      const isNew = (name: string) => (regionVersions.get(name)?.version ?? 0) > from
      if (!view) return isNew('removed') ? { removed: true } : null
      const parts = view.regions.filter(region => isNew(`#${region.id}`))
      const update: Update = {
        ...(isNew('title')
          ? { title: { text: view.title, icon: faviconUrl(view.state) } }
          : {}),
        ...(parts.length > 0
          ? { parts: Object.fromEntries(parts.map(one => [one.id, one.html.markup])) }
          : {}),
        ...(isNew('order') ? { order: view.order } : {}),
      }
      return Object.keys(update).length > 0 ? update : null
    },
    version: () => version,
    cursor: () => `${id}.${version}`,
    parseVersion: cursor =>
      cursor.startsWith(`${id}.`) ? Number(cursor.slice(id.length + 1)) : -1,
    add: subscriber => void subscribers.add(subscriber),
    remove: subscriber => void subscribers.delete(subscriber),
    hasSubscribers: () => subscribers.size > 0,
  }
}

interface RegionVersion {
  readonly key: Html | string
  readonly version: number
}

/** Compares parts of pages, without relative times: the script of the page updates them. */
const createComparison = (): ((a: Html | string, b: Html | string) => boolean) => {
  // Most addresses show the same parts
  const texts = new WeakMap<Html, string>()
  const textOf = (part: Html | string): string => {
    if (typeof part === 'string') return part
    const known = texts.get(part)
    if (known !== undefined) return known
    const text = part.markup.replaceAll(/(<time[^>]*>)[^<]*/g, '$1')
    texts.set(part, text)
    return text
  }
  // Unchanged rows are the same object
  return (a, b) => a === b || textOf(a) === textOf(b)
}
