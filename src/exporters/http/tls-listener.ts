import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import type { Log } from '../../log/log.ts'
import type { WebAccess, WebTls } from '../../model/index.ts'
import { clientCertificateError, isVerified } from './client-certificate.ts'
import type { Limits } from './limits.ts'

export interface TlsListener {
  /** Whether the client has a verified certificate. */
  isVerified(socket: Socket): boolean
  /** Whether the client policy changed since the connection was accepted; it must close after its response. */
  hasOldPolicy(socket: Socket): boolean
}

/**
 * Wraps each new connection in TLS according to the current web configuration before the HTTP server sees it.
 * Certificates can change, and TLS can be switched on or off, without rebinding the port or dropping connections.
 */
export const createTlsListener = (
  server: Server,
  access: () => WebAccess,
  { limits, log }: { readonly limits: Limits; readonly log: Log },
): TlsListener => {
  const policies = new WeakMap<Socket, WebTls | null>()
  // The connection listener of http.Server accepts any socket, also a TLSSocket
  const [handleConnection] = server.listeners('connection') as ((
    socket: Socket,
  ) => void)[]
  server.removeAllListeners('connection')
  const serve = (socket: Socket, tls: WebTls | null) => {
    policies.set(socket, tls)
    handleConnection?.call(server, socket)
  }
  const reject = (socket: TLSSocket, reason: string) => {
    log.debug({ client: socket.remoteAddress, reason }, 'TLS client rejected')
    socket.destroy()
  }

  /** Never listens; receives accepted connections. */
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

/** Returns the requirements for clients, without the server certificate: old connections may keep the old one. */
export const clientPolicy = (tls: WebTls | null): string =>
  tls === null
    ? ''
    : JSON.stringify({ ...tls, context: { ...tls.context, cert: null, key: null } })
