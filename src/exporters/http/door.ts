import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { Log } from '../../log.ts'
import type { WebAccess, WebTls } from '../../model.ts'
import { clientFault, isVerified } from './client-certificate.ts'
import type { Limits } from './limits.ts'

export interface Door {
  /** Whether the client has proven itself by a certificate. */
  isVerified(socket: Socket): boolean
  /** Whether the connection came in under other rules than those of now: it shall end with its answer. */
  isOutdated(socket: Socket): boolean
}

/**
 * Stands before an HTTP server that listens by itself: each new connection gets the TLS that the configuration wants now,
 * or none. So a new certificate, and even TLS where there was none, needs no new listener and drops nothing.
 */
export const createDoor = (
  server: Server,
  access: () => WebAccess,
  { limits, log }: { readonly limits: Limits; readonly log: Log },
): Door => {
  const rules = new WeakMap<Socket, WebTls | null>()
  // The listener of http.Server itself: it takes any socket, also one that has got TLS meanwhile
  const [handle] = server.listeners('connection') as ((socket: Socket) => void)[]
  server.removeAllListeners('connection')
  const serve = (socket: Socket, tls: WebTls | null) => {
    rules.set(socket, tls)
    handle?.call(server, socket)
  }
  const refuse = (socket: TLSSocket, reason: string) => {
    log.debug({ client: socket.remoteAddress, reason }, 'a TLS client was refused')
    socket.destroy()
  }

  /** It never listens; connections are handed to it. */
  const secure = (tls: WebTls) =>
    createServer(
      {
        ...tls.context,
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: limits.handshakeMs,
        requestCert: tls.clientAuth !== 'NoClientCert',
        rejectUnauthorized: tls.clientAuth === 'RequireAndVerifyClientCert',
      },
      socket => {
        const fault = clientFault(tls, socket)
        if (fault === null) serve(socket, tls)
        else refuse(socket, fault)
      },
    ).on('tlsClientError', (error, socket) => refuse(socket, error.message))

  let newest: { readonly tls: WebTls; readonly server: ReturnType<typeof secure> } | null
  newest = null
  server.on('connection', socket => {
    const { tls } = access()
    if (tls === null) return serve(socket, null)
    if (newest?.tls !== tls) newest = { tls, server: secure(tls) }
    newest.server.emit('connection', socket)
  })
  return {
    isVerified: socket =>
      'authorized' in socket &&
      isVerified(rules.get(socket) ?? null, socket as TLSSocket),
    isOutdated: socket => {
      const [then, now] = [rules.get(socket) ?? null, access().tls]
      return then !== now && rulesOf(then) !== rulesOf(now)
    },
  }
}

/** What a client is held to. Not our own certificate: who came in under the old one may stay. */
export const rulesOf = (tls: WebTls | null): string =>
  tls === null
    ? ''
    : JSON.stringify({ ...tls, context: { ...tls.context, cert: null, key: null } })
