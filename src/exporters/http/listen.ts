import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Listen } from './bind.ts'
import { startHttpServer, type HttpServer } from './http-server.ts'
import type { RequestHandler } from './request-handler.ts'

/** HTTP servers that share one handler, one per address. */
export interface Listeners {
  /** Returns the bound addresses in the order of the configuration; the control socket is last. */
  addresses(): readonly string[]
  /**
   * Replaces the addresses. Unchanged ones keep their server and connections. New ones are bound before removed ones
   * close; running requests may finish. Rejects with the system's error when one cannot be bound, and then keeps the
   * previous addresses. Must not be called again before it has settled.
   */
  rebind(addresses: readonly Listen[]): Promise<void>
  /** Applies a changed web configuration to open connections. */
  refresh(): void
  /** Closes all connections. */
  close(): Promise<void>
}

interface BoundServer {
  readonly listen: Listen
  readonly server: HttpServer
}

/** Listens on all addresses, or rejects with the first error. A failing control socket is only logged. */
export const listenAll = async (
  addresses: readonly Listen[],
  controlSocket: string | null,
  handler: RequestHandler,
): Promise<Listeners> => {
  let bound: ReadonlyMap<string, BoundServer> = new Map()
  const draining = new Set<HttpServer>()
  const drain = (server: HttpServer) => {
    draining.add(server)
    void server.close(handler.limits.closeMs).finally(() => draining.delete(server))
  }
  const open = async (listen: Listen): Promise<BoundServer> => ({
    listen,
    server: await startHttpServer(listen, handler),
  })

  const rebind = async (requested: readonly Listen[]): Promise<void> => {
    const names = new Map(requested.map(listen => [addressKey(listen), listen]))
    const removed = new Map([...bound].filter(([name]) => !names.has(name)))
    const opened = new Map<string, BoundServer>()
    const closedForRebind = new Map<string, BoundServer>()
    try {
      for (const [name, listen] of names) {
        if (bound.has(name)) continue
        opened.set(
          name,
          await open(listen).catch((error: unknown) => {
            // 127.0.0.1:N and 0.0.0.0:N conflict: close the old one just before binding the new one
            const conflicting = [...removed].filter(
              ([old, one]) =>
                !closedForRebind.has(old) && haveSamePort(one.listen, listen),
            )
            if (errorCode(error) !== 'EADDRINUSE' || conflicting.length === 0) throw error
            for (const [old, one] of conflicting) {
              closedForRebind.set(old, one)
              drain(one.server)
            }
            return open(listen)
          }),
        )
      }
    } catch (error) {
      for (const { server } of opened.values()) drain(server)
      const restored = new Map(bound)
      for (const [name, { listen }] of closedForRebind) {
        // Another program may have taken the address in the meantime; the first error is reported all the same
        const reopened = await open(listen).catch(() => null)
        if (reopened) restored.set(name, reopened)
        else restored.delete(name)
      }
      bound = restored
      throw error
    }
    for (const [name, { server }] of removed)
      if (!closedForRebind.has(name)) drain(server)
    bound = new Map(
      [...names.keys()].map(name => [name, (bound.get(name) ?? opened.get(name))!]),
    )
  }

  await rebind(addresses)
  const control =
    controlSocket === null ? null : await openControlSocket(controlSocket, handler)
  const all = (): readonly HttpServer[] => [
    ...[...bound.values()].map(({ server }) => server),
    ...(control ? [control] : []),
  ]
  return {
    addresses: () => all().map(({ address }) => address),
    rebind,
    refresh: () => {
      for (const server of all()) server.refresh()
    },
    close: async () => {
      await Promise.all([...all(), ...draining].map(server => server.close()))
      handler.stop()
    },
  }
}

const openControlSocket = async (
  path: string,
  handler: RequestHandler,
): Promise<HttpServer | null> => {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o755 })
    return await startHttpServer({ path }, handler, 'control')
  } catch (error) {
    // Only status, reload and alert test need the control socket
    handler.log.warn(
      { path, err: error },
      'cannot create the control socket: status, reload and alert test do not work',
    )
    return null
  }
}

const addressKey = (listen: Listen): string =>
  'path' in listen ? `unix:${listen.path}` : `${listen.host}:${listen.port}`

const haveSamePort = (a: Listen, b: Listen): boolean =>
  'port' in a && 'port' in b && a.port === b.port

const errorCode = (error: unknown): string | undefined =>
  (error as NodeJS.ErrnoException).code
