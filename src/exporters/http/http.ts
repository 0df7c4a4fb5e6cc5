import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { WebAccess } from '../../model.ts'
import { bind, type Listen } from './bind.ts'
import { createDoor, rulesOf } from './door.ts'
import type { Entrance } from './request.ts'
import type { Site } from './site.ts'

export interface HttpServer {
  /** `127.0.0.1:10922`, or the path: what was really bound. */
  readonly address: string
  /** Has connections that came in under other rules for clients end soon. */
  refresh(): void
  /** Listens no more; what is being answered may end within `graceMs`. Ends every connection, streams too. */
  close(graceMs?: number): Promise<void>
}

/** Serves a site at one address. Rejects with the system's error when it cannot listen. */
export const startHttp = async (
  listen: Listen,
  site: Site,
  entrance: Entrance = 'path' in listen ? 'unix' : 'tcp',
): Promise<HttpServer> => {
  const { limits } = site
  let isClosing = false
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(5000, limits.headersMs),
    },
    (request, response) =>
      void site.answer(request, response, () => ({
        entrance,
        isVerified: door.isVerified(request.socket),
        isLast: isClosing || door.isOutdated(request.socket),
      })),
  )
  // One more than we take, so that too many are noticed
  server.maxHeadersCount = limits.headers + 1
  server.maxConnections = limits.connections
  // Who may open the file of a socket needs no TLS to it
  const access = (): WebAccess =>
    entrance === 'tcp' ? site.access() : { ...site.access(), tls: null }
  const door = createDoor(server, access, site)
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  let rules = rulesOf(access().tls)
  await bind(server, listen)
  const bound = server.address()
  return {
    address:
      typeof bound === 'object' && bound !== null
        ? `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
        : String(bound),
    refresh: () => {
      const now = rulesOf(access().tls)
      if (now === rules) return
      rules = now
      server.closeIdleConnections()
    },
    close: async (graceMs = 0) => {
      isClosing = true
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      const end = () => {
        for (const socket of sockets) socket.destroy()
      }
      const timer = graceMs > 0 ? setTimeout(end, graceMs) : null
      if (!timer) end()
      await closed
      if (timer) clearTimeout(timer)
    },
  }
}
