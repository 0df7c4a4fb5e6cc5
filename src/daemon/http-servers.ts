import type { Route } from '../exporters/http/route.ts'
import { describeListenError } from '../exporters/http/listen-error.ts'
import { listenAll } from '../exporters/http/listen.ts'
import { createRequestHandler } from '../exporters/http/request-handler.ts'
import { watchWebConfig, type WebConfigWatchDeps } from './watch-web-config.ts'
import type { Log } from '../log/log.ts'

type Addresses = Parameters<typeof listenAll>[0]

export interface HttpServersDeps {
  readonly addresses: Addresses
  /** Null for none. */
  readonly controlSocket: string | null
  readonly routes: readonly Route[]
  /** The web configuration file; without one, everybody may read. */
  readonly web?: Pick<WebConfigWatchDeps, 'first' | 'load' | 'intervalMs'>
  /** Called after each reading of the web configuration, with what was wrong. */
  readonly onWebConfig: (errors: readonly string[]) => void
  readonly log: Log
}

/** The routes at their addresses, behind what the web configuration file says. */
export interface HttpServers {
  addresses(): readonly string[]
  /** Serves at these addresses; those that stay keep their connections. With a fault the old ones stay. */
  rebind(addresses: Addresses): Promise<readonly string[]>
  /** Reads the web configuration again; resolves with what is wrong, and then the old one stays. */
  reloadWeb(): Promise<readonly string[]>
  /** From now on nothing changes any more. */
  stopReloading(): void
  close(): Promise<void>
}

/** Rejects with the system's error where an address cannot be had. */
export const startHttpServers = async (deps: HttpServersDeps): Promise<HttpServers> => {
  const { routes, log, controlSocket, onWebConfig } = deps
  const web = deps.web
    ? watchWebConfig({
        ...deps.web,
        log,
        onRead: errors => {
          onWebConfig(errors)
          listeners.refresh()
        },
      })
    : null
  const site = createRequestHandler({
    routes,
    log,
    ...(web ? { access: web.access } : {}),
  })
  const listeners = await listenAll(deps.addresses, controlSocket, site).catch(
    (error: unknown) => {
      web?.stop()
      throw error
    },
  )
  return {
    addresses: () => listeners.addresses(),
    rebind: async addresses => {
      try {
        await listeners.rebind(addresses)
        return []
      } catch (error) {
        const fault = describeListenError(error)
        if (fault === null) throw error
        log.error({ error: fault }, 'cannot listen, the old addresses stay')
        return [fault]
      }
    },
    reloadWeb: async () => (await web?.reload()) ?? [],
    stopReloading: () => web?.stop(),
    close: () => listeners.close(),
  }
}
