import type { Route } from '../exporters/http/route.ts'
import { describeListenError } from '../exporters/http/listen-error.ts'
import { listenAll } from '../exporters/http/listen.ts'
import { createAllowHost } from '../exporters/http/allowed-hosts.ts'
import { readDnsNames, readMachineNames } from '../exporters/http/machine-names.ts'
import { createRequestHandler } from '../exporters/http/request-handler.ts'
import type { Log } from '../log/log.ts'
import { watchWebConfig, type WebConfigWatchDeps } from './watch-web-config.ts'

type Addresses = Parameters<typeof listenAll>[0]

export interface HttpServersDeps {
  readonly addresses: Addresses
  /** Path of the control socket, null for none. */
  readonly controlSocket: string | null
  readonly routes: readonly Route[]
  /** Returns further names under which this machine is reached. */
  readonly allowedHosts: () => readonly string[]
  /** The web configuration file. Without one, reading requires no login. */
  readonly web?: Pick<WebConfigWatchDeps, 'first' | 'load' | 'intervalMs'>
  /** Called after each load of the web configuration with its errors. */
  readonly onWebConfig: (errors: readonly string[]) => void
  readonly log: Log
}

/** Serves the routes at all addresses, subject to the web configuration. */
export interface HttpServers {
  addresses(): readonly string[]
  /**
   * Listens at these addresses. Unchanged ones keep their connections. Resolves with the errors; with errors, the previous
   * addresses stay.
   */
  rebind(addresses: Addresses): Promise<readonly string[]>
  /** Loads the web configuration again. Resolves with its errors; with errors, the previous one stays active. */
  reloadWeb(): Promise<readonly string[]>
  /** Stops watching the web configuration. */
  stopReloading(): void
  close(): Promise<void>
}

/** Starts listening. Rejects with the system's error when an address cannot be bound. */
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
  const names = await readMachineNames()
  let dnsNames: readonly string[] = []
  // Slow without a name server, and needed only for requests by such a name
  void readDnsNames().then(found => (dnsNames = found))
  const handler = createRequestHandler({
    routes,
    log,
    allowHost: createAllowHost(() => [...names, ...dnsNames, ...deps.allowedHosts()]),
    ...(web ? { access: web.access } : {}),
  })
  const listeners = await listenAll(deps.addresses, controlSocket, handler).catch(
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
        const message = describeListenError(error) ?? `cannot listen: ${String(error)}`
        log.error({ error: message }, 'cannot listen, the previous addresses stay')
        return [message]
      }
    },
    reloadWeb: async () => (await web?.reload()) ?? [],
    stopReloading: () => web?.stop(),
    close: () => listeners.close(),
  }
}
