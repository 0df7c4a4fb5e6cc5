import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { Log } from '../../log/log.ts'
import type { WebAccess, WebTls } from '../../model/index.ts'
import { clientCertificateError, isVerified } from './client-certificate.ts'
import type { Limits } from './limits.ts'

export interface TlsListener {
  /** Whether the client has proven itself by a certificate. */
  isVerified(socket: Socket): boolean
  /** Whether the connection came in under other rules than those of now: it shall end with its answer. */
  hasOldPolicy(socket: Socket): boolean
}

/**
 * Stands before an HTTP server that listens by itself: each new connection gets the TLS that the configuration wants now,
 * or none. So a new certificate, and even TLS where there was none, needs no new listener and drops nothing.
 */
export const createTlsListener = (
  server: Server,
  access: () => WebAccess,
  { limits, log }: { readonly limits: Limits; readonly log: Log },
): TlsListener => {
  const policies = new WeakMap<Socket, WebTls | null>()
  // The listener of http.Server itself: it takes any socket, also one that has got TLS meanwhile
  const [handleConnection] = server.listeners('connection') as ((
    socket: Socket,
  ) => void)[]
  server.removeAllListeners('connection')
  const serve = (socket: Socket, tls: WebTls | null) => {
    policies.set(socket, tls)
    handleConnection?.call(server, socket)
  }
  const reject = (socket: TLSSocket, reason: string) => {
    log.debug({ client: socket.remoteAddress, reason }, 'a TLS client was refused')
    socket.destroy()
  }

  /** It never listens; connections are handed to it. */
  const createTlsServer = (tls: WebTls) =>
    createServer(
      {
        ...tls.context,
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: limits.handshakeMs,
        requestCert: tls.clientAuth !== 'NoClientCert',
        rejectUnauthorized: tls.clientAuth === 'RequireAndVerifyClientCert',
      },
      socket => {
        const error = clientCertificateError(tls, socket)
        if (error === null) serve(socket, tls)
        else reject(socket, error)
      },
    ).on('tlsClientError', (error, socket) => reject(socket, error.message))

  let current: {
    readonly tls: WebTls
    readonly server: ReturnType<typeof createTlsServer>
  } | null
  current = null
  server.on('connection', socket => {
    const { tls } = access()
    if (tls === null) return serve(socket, null)
    if (current?.tls !== tls) current = { tls, server: createTlsServer(tls) }
    current.server.emit('connection', socket)
  })
  return {
    isVerified: socket =>
      'authorized' in socket &&
      isVerified(policies.get(socket) ?? null, socket as TLSSocket),
    hasOldPolicy: socket => {
      const [then, now] = [policies.get(socket) ?? null, access().tls]
      return then !== now && clientPolicy(then) !== clientPolicy(now)
    },
  }
}

/** What a client is held to. Not our own certificate: who came in under the old one may stay. */
export const clientPolicy = (tls: WebTls | null): string =>
  tls === null
    ? ''
    : JSON.stringify({ ...tls, context: { ...tls.context, cert: null, key: null } })
