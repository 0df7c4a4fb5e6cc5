import { randomBytes } from 'node:crypto'
import type { View } from '../../model/index.ts'
import { createEventStreams, type Subscriber } from '../http/server-sent-events.ts'
import type { Route } from '../exporter.ts'
import type { PageView } from './view.ts'

/** Keeps pages that are open in a browser as they would be if they were loaded anew. */
export interface LiveUpdates {
  /** What an address shows now, and the mark from which its stream goes on; null where there is no such page. */
  open(address: string): { readonly view: PageView; readonly cursor: string } | null
  /** GET /live?page=ADDRESS&since=MARK */
  readonly route: Route
}

const maxStreams = 100
/** Addresses that are remembered; filters make as many as anybody likes. */
const maxAddresses = 64
const paceMs = 1000
/** Without news, too, rows turn stale. */
const tickMs = 5000

/** `show` draws the page of an address as it is now. */
export const createLiveUpdates = (
  { subscribe }: View,
  render: (address: string) => PageView | null,
): LiveUpdates => {
  // Another process may have another script, and its pages other parts
  const instanceId = randomBytes(6).toString('base64url')
  const pageStreams = new Map<string, PageStream>()
  const { open } = createEventStreams(maxStreams)

  const findOrCreate = (address: string): PageStream => {
    const known = pageStreams.get(address)
    const pageStream =
      known ?? createPageStream(address, `${instanceId}.${randomId()}`, render)
    // The one that was asked for last stands last
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
  /** Only while somebody looks is there anything to do. */
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
              const update = pageStream.since(subscriber.sent)
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

/** What a browser has to change, to show the same as a page that is loaded now. */
interface Update {
  /** True where there is no such page any more. */
  readonly gone?: true
  readonly title?: Pick<PageView, 'title' | 'state'>
  /** Markup by id. */
  readonly parts?: Readonly<Record<string, string>>
  readonly order?: readonly string[]
}

/** One address: which of its parts changed when, counted in versions of its own. */
interface PageStream {
  /** Draws it anew and tells everybody who follows. */
  refresh(): PageView | null
  since(version: number): Update | null
  version(): number
  cursor(): string
  /** The version of a mark; -1 for a mark of another channel: everything is new then. */
  parseVersion(cursor: string): number
  add(subscriber: Subscriber): void
  remove(subscriber: Subscriber): void
  hasSubscribers(): boolean
}

const createPageStream = (
  address: string,
  id: string,
  render: (address: string) => PageView | null,
): PageStream => {
  const subscribers = new Set<Subscriber>()
  let version = 0
  let view: PageView | null = null
  let seen: ReadonlyMap<string, { readonly key: string; readonly version: number }> =
    new Map()

  const refresh = (): PageView | null => {
    view = render(address)
    const next = version + 1
    const keys: (readonly [string, string])[] = view
      ? [
          ['title', `${view.state} ${view.title}`],
          ['order', view.order.join(' ')],
          ...view.regions.map(
            ({ id, html }) => [`#${id}`, withoutTimes(html.markup)] as const,
          ),
        ]
      : [['gone', '']]
    const before = seen
    seen = new Map(
      keys.map(([name, key]) => {
        const known = before.get(name)
        return [name, known?.key === key ? known : { key, version: next }]
      }),
    )
    if (keys.some(([name]) => seen.get(name)?.version === next)) {
      version = next
      for (const subscriber of subscribers) subscriber.flush()
    }
    return view
  }

  return {
    refresh,
    since: from => {
      const isNew = (name: string) => (seen.get(name)?.version ?? 0) > from
      if (!view) return isNew('gone') ? { gone: true } : null
      const parts = view.regions.filter(region => isNew(`#${region.id}`))
      const update: Update = {
        ...(isNew('title') ? { title: { title: view.title, state: view.state } } : {}),
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

/** Times go on by themselves; that they did is no news. */
const withoutTimes = (markup: string): string =>
  markup.replaceAll(/(<time[^>]*>)[^<]*/g, '$1')
