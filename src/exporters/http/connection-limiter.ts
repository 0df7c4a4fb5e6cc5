import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Limits } from './limits.ts'

export interface ConnectionLimiter {
  /** Registers a TCP connection and closes an idle one when there are too many. */
  add(socket: Socket): void
  /** Marks the connection as in use until the response has ended. */
  track(socket: Socket, response: ServerResponse): void
}

interface OpenConnection {
  readonly socket: Socket
  readonly client: string
  requests: number
}

/** The last connections are kept free for new clients: at most this many, and an eighth of all. */
const maxReserved = 32

/** Works for a TLS socket and the TCP socket below it alike. */
const keyOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`

/**
 * Keeps one client from using all connections: above its own limit, or when few are left, its oldest connection without a
 * request is closed. Half-sent requests count as idle.
 */
export const createConnectionLimiter = ({
  connections,
  connectionsPerClient,
}: Pick<Limits, 'connections' | 'connectionsPerClient'>): ConnectionLimiter => {
  /** In the order of their start. */
  const open = new Map<string, OpenConnection>()
  const reserved = Math.min(maxReserved, Math.floor(connections / 8))
  const closeOldestIdle = (
    isCandidate: (connection: OpenConnection) => boolean,
  ): boolean => {
    for (const [key, connection] of open)
      if (connection.requests === 0 && isCandidate(connection)) {
        open.delete(key)
        connection.socket.destroy()
        return true
      }
    return false
  }
  return {
    add: socket => {
      const client = socket.remoteAddress ?? ''
      const added: OpenConnection = { socket, client, requests: 0 }
      const key = keyOf(socket)
      open.set(key, added)
      socket.once('close', () => {
        if (open.get(key) === added) open.delete(key)
      })
      const ofClient = (other: OpenConnection) =>
        other.client === client && other !== added
      if ([...open.values()].filter(ofClient).length >= connectionsPerClient) {
        if (!closeOldestIdle(ofClient)) socket.destroy()
      } else if (open.size > connections - reserved)
        closeOldestIdle(other => other !== added)
    },
    track: (socket, response) => {
      const connection = open.get(keyOf(socket))
      if (!connection) return
      connection.requests++
      response.once('close', () => connection.requests--)
    },
  }
}
