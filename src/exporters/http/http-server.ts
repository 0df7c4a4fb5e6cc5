import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { WebAccess } from '../../model/index.ts'
import { bind, type Listen } from './bind.ts'
import { createConnectionLimiter } from './connection-limiter.ts'
import { createTlsListener, clientPolicy } from './tls-listener.ts'
import type { ListenerKind } from './request.ts'
import type { RequestHandler } from './request-handler.ts'

export interface HttpServer {
  /** The bound address, `127.0.0.1:10922`, or the path. */
  readonly address: string
  /** Closes idle connections that were accepted under another client policy. */
  refresh(): void
  /** Stops listening and closes all connections, streams included. Running requests may finish within `graceMs`. */
  close(graceMs?: number): Promise<void>
}

const burstConnections = 1024

/** Serves the handler on one address. Rejects with the system's error when it cannot listen. */
export const startHttpServer = async (
  listen: Listen,
  handler: RequestHandler,
  listenerKind: ListenerKind = 'path' in listen ? 'unix' : 'tcp',
): Promise<HttpServer> => {
  const { limits } = handler
  let isClosing = false
  const limiter = createConnectionLimiter(limits)
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(5000, limits.headersMs),
    },
    (request, response) => {
      limiter.track(request.socket, response)
      void handler.handle(request, response, () => ({
        listenerKind,
        isVerified: tlsListener.isVerified(request.socket),
        closeAfterResponse: isClosing || tlsListener.hasOldPolicy(request.socket),
      }))
    },
  )
  // One more than the limit, so that exceeding it is detected
  server.maxHeadersCount = limits.headers + 1
  // The limiter decides which connection closes; only a burst within one turn of the event loop gets here
  server.maxConnections =
    limits.connections + (listenerKind === 'tcp' ? burstConnections : 0)
  // Unix sockets are protected by file permissions and need no TLS
  const access = (): WebAccess =>
    listenerKind === 'tcp' ? handler.access() : { ...handler.access(), tls: null }
  const tlsListener = createTlsListener(server, access, handler)
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    // Unix sockets are limited by the mode of the file
    if (listenerKind === 'tcp') limiter.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  let policy = clientPolicy(access().tls)
  await bind(server, listen)
  const bound = server.address()
  return {
    address:
      typeof bound === 'object' && bound !== null
        ? `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
        : String(bound),
    refresh: () => {
      const now = clientPolicy(access().tls)
      if (now === policy) return
      policy = now
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
