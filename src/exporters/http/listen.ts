import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Listen } from './bind.ts'
import { startHttp, type HttpServer } from './http.ts'
import type { Site } from './site.ts'

/** The servers of a site, one for each address. */
export interface Listeners {
  /** What was really bound, in the order of the configuration; the control socket is the last. */
  addresses(): readonly string[]
  /**
   * Listens on these addresses instead. Those that stay keep their server and its connections; new ones are bound before
   * the others are closed, whose requests may end. Rejects with the system's error where one cannot be bound, and then
   * everything is as it was. Not to be called again before it has ended.
   */
  change(addresses: readonly Listen[]): Promise<void>
  /** Follows a changed web configuration. */
  refresh(): void
  /** Ends every connection. */
  close(): Promise<void>
}

interface Served {
  readonly listen: Listen
  readonly server: HttpServer
}

/** Listens on every address, or on none: rejects with the first error. Without its control socket the daemon still runs. */
export const listenAll = async (
  addresses: readonly Listen[],
  controlSocket: string | null,
  site: Site,
): Promise<Listeners> => {
  let served: ReadonlyMap<string, Served> = new Map()
  const leaving = new Set<HttpServer>()
  const leave = (server: HttpServer) => {
    leaving.add(server)
    void server.close(site.limits.closeMs).finally(() => leaving.delete(server))
  }
  const open = async (listen: Listen): Promise<Served> => ({
    listen,
    server: await startHttp(listen, site),
  })

  const change = async (wanted: readonly Listen[]): Promise<void> => {
    const names = new Map(wanted.map(listen => [nameOf(listen), listen]))
    const gone = new Map([...served].filter(([name]) => !names.has(name)))
    const opened = new Map<string, Served>()
    const gaveWay = new Map<string, Served>()
    try {
      for (const [name, listen] of names) {
        if (served.has(name)) continue
        opened.set(
          name,
          await open(listen).catch((error: unknown) => {
            // 127.0.0.1:N and 0.0.0.0:N exclude each other: the old one goes a moment before the new one comes
            const inTheWay = [...gone].filter(
              ([old, one]) => !gaveWay.has(old) && haveSamePort(one.listen, listen),
            )
            if (codeOf(error) !== 'EADDRINUSE' || inTheWay.length === 0) throw error
            for (const [old, one] of inTheWay) {
              gaveWay.set(old, one)
              leave(one.server)
            }
            return open(listen)
          }),
        )
      }
    } catch (error) {
      for (const { server } of opened.values()) leave(server)
      const back = new Map(served)
      for (const [name, { listen }] of gaveWay) back.set(name, await open(listen))
      served = back
      throw error
    }
    for (const [name, { server }] of gone) if (!gaveWay.has(name)) leave(server)
    served = new Map(
      [...names.keys()].map(name => [name, (served.get(name) ?? opened.get(name))!]),
    )
  }

  await change(addresses)
  const control = controlSocket === null ? null : await openControl(controlSocket, site)
  const all = (): readonly HttpServer[] => [
    ...[...served.values()].map(({ server }) => server),
    ...(control ? [control] : []),
  ]
  return {
    addresses: () => all().map(({ address }) => address),
    change,
    refresh: () => {
      for (const server of all()) server.refresh()
    },
    close: async () => {
      await Promise.all([...all(), ...leaving].map(server => server.close()))
      site.stop()
    },
  }
}

const openControl = async (path: string, site: Site): Promise<HttpServer | null> => {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    return await startHttp({ path }, site, 'control')
  } catch (error) {
    // Everything but `status` works without it
    site.log.warn({ path, err: error }, 'no control socket')
    return null
  }
}

const nameOf = (listen: Listen): string =>
  'path' in listen ? `unix:${listen.path}` : `${listen.host}:${listen.port}`

const haveSamePort = (a: Listen, b: Listen): boolean =>
  'port' in a && 'port' in b && a.port === b.port

const codeOf = (error: unknown): string | undefined =>
  (error as NodeJS.ErrnoException).code
