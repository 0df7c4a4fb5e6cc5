import type { Route } from './exporters/exporter.ts'
import { listenFault } from './exporters/http/listen-fault.ts'
import { listenAll } from './exporters/http/listen.ts'
import { createSite } from './exporters/http/site.ts'
import { createWebWatch, type WebWatchDeps } from './web-watch.ts'
import type { Log } from './log.ts'

type Addresses = Parameters<typeof listenAll>[0]

export interface ServingDeps {
  readonly addresses: Addresses
  /** Null for none. */
  readonly controlSocket: string | null
  readonly routes: readonly Route[]
  /** The web configuration file; without one, everybody may read. */
  readonly web?: Pick<WebWatchDeps, 'first' | 'load' | 'everyMs'>
  /** Called after each reading of the web configuration, with what was wrong. */
  readonly onWeb: (faults: readonly string[]) => void
  readonly log: Log
}

/** The routes at their addresses, behind what the web configuration file says. */
export interface Serving {
  addresses(): readonly string[]
  /** Serves at these addresses; those that stay keep their connections. With a fault the old ones stay. */
  move(addresses: Addresses): Promise<readonly string[]>
  /** Reads the web configuration again; resolves with what is wrong, and then the old one stays. */
  reloadWeb(): Promise<readonly string[]>
  /** From now on nothing changes any more. */
  settle(): void
  close(): Promise<void>
}

/** Rejects with the system's error where an address cannot be had. */
export const startServing = async (deps: ServingDeps): Promise<Serving> => {
  const { routes, log, controlSocket, onWeb } = deps
  const web = deps.web
    ? createWebWatch({
        ...deps.web,
        log,
        onRead: faults => {
          onWeb(faults)
          listeners.refresh()
        },
      })
    : null
  const site = createSite({ routes, log, ...(web ? { access: web.access } : {}) })
  const listeners = await listenAll(deps.addresses, controlSocket, site).catch(
    (error: unknown) => {
      web?.stop()
      throw error
    },
  )
  return {
    addresses: () => listeners.addresses(),
    move: async addresses => {
      try {
        await listeners.change(addresses)
        return []
      } catch (error) {
        const fault = listenFault(error)
        if (fault === null) throw error
        log.error({ error: fault }, 'cannot listen, the old addresses stay')
        return [fault]
      }
    },
    reloadWeb: async () => (await web?.reload()) ?? [],
    settle: () => web?.stop(),
    close: () => listeners.close(),
  }
}
