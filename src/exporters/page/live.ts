import { randomBytes } from 'node:crypto'
import type { View } from '../../model.ts'
import { createEventStreams, type Follower } from '../event-streams.ts'
import type { Route } from '../exporter.ts'
import type { PageView } from './view.ts'

/** Keeps pages that are open in a browser as they would be if they were loaded anew. */
export interface Live {
  /** What an address shows now, and the mark from which its stream goes on; null where there is no such page. */
  open(address: string): { readonly view: PageView; readonly mark: string } | null
  /** GET /live?page=ADDRESS&since=MARK */
  readonly route: Route
}

const streams = 100
/** Addresses that are remembered; filters make as many as anybody likes. */
const addresses = 64
const paceMs = 1000
/** Without news, too, rows turn stale. */
const tickMs = 5000

/** `show` draws the page of an address as it is now. */
export const createLive = (
  { subscribe }: View,
  show: (address: string) => PageView | null,
): Live => {
  // Another process may have another script, and its pages other parts
  const boot = randomBytes(6).toString('base64url')
  const channels = new Map<string, Channel>()
  const { open } = createEventStreams(streams)

  const channelOf = (address: string): Channel => {
    const known = channels.get(address)
    const channel = known ?? createChannel(address, `${boot}.${randomId()}`, show)
    // The one that was asked for last stands last
    channels.delete(address)
    channels.set(address, channel)
    for (const [old, { isFollowed }] of channels)
      if (channels.size > addresses && !isFollowed() && old !== address)
        channels.delete(old)
    return channel
  }

  let end: (() => void) | null = null
  const refreshAll = () => {
    for (const channel of channels.values()) if (channel.isFollowed()) channel.refresh()
  }
  /** Only while somebody looks is there anything to do. */
  const watch = () => {
    if (end) return
    let due: NodeJS.Timeout | null = null
    const tick = setInterval(refreshAll, tickMs)
    const unsubscribe = subscribe(() => {
      due ??= setTimeout(() => {
        due = null
        refreshAll()
      }, paceMs)
    })
    end = () => {
      clearInterval(tick)
      if (due) clearTimeout(due)
      unsubscribe()
      end = null
    }
  }

  return {
    open: address => {
      const channel = channelOf(address)
      const view = channel.refresh()
      return view ? { view, mark: channel.mark() } : null
    },
    route: {
      method: 'GET',
      path: '/live',
      handle: ({ query, headers }) => {
        const address = query.get('page') ?? '/'
        const since = String(headers['last-event-id'] ?? query.get('since') ?? '')
        return open(stream => {
          if (since !== '' && !since.startsWith(`${boot}.`))
            return {
              catchUp: () => stream.send({ event: 'reload', id: boot, data: null }),
              end: () => undefined,
            }
          const channel = channelOf(address)
          const follower: Follower & { sent: number } = {
            sent: channel.versionOf(since),
            catchUp: () => {
              if (stream.isBehind) return
              const update = channel.since(follower.sent)
              follower.sent = channel.version()
              if (update)
                stream.send({ event: 'update', id: channel.mark(), data: update })
            },
            end: () => {
              channel.leave(follower)
              if (![...channels.values()].some(one => one.isFollowed())) end?.()
            },
          }
          channel.join(follower)
          watch()
          channel.refresh()
          return follower
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
interface Channel {
  /** Draws it anew and tells everybody who follows. */
  refresh(): PageView | null
  since(version: number): Update | null
  version(): number
  mark(): string
  /** The version of a mark; -1 for a mark of another channel: everything is new then. */
  versionOf(mark: string): number
  join(follower: Follower): void
  leave(follower: Follower): void
  isFollowed(): boolean
}

const createChannel = (
  address: string,
  id: string,
  show: (address: string) => PageView | null,
): Channel => {
  const followers = new Set<Follower>()
  let version = 0
  let view: PageView | null = null
  let seen: ReadonlyMap<string, { readonly key: string; readonly version: number }> =
    new Map()

  const refresh = (): PageView | null => {
    view = show(address)
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
      for (const follower of followers) follower.catchUp()
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
    mark: () => `${id}.${version}`,
    versionOf: mark =>
      mark.startsWith(`${id}.`) ? Number(mark.slice(id.length + 1)) : -1,
    join: follower => void followers.add(follower),
    leave: follower => void followers.delete(follower),
    isFollowed: () => followers.size > 0,
  }
}

/** Times go on by themselves; that they did is no news. */
const withoutTimes = (markup: string): string =>
  markup.replaceAll(/(<time[^>]*>)[^<]*/g, '$1')
