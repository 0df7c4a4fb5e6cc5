import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Limits } from './limits.ts'

export interface ConnectionLimiter {
  /** Registers a TCP connection and closes another one, or this one, when there are too many. */
  add(socket: Socket): void
  /** Marks the connection as in use until the response has ended. */
  track(socket: Socket, response: ServerResponse): void
}

interface OpenConnection {
  readonly socket: Socket
  readonly client: string
  readonly responses: Set<ServerResponse>
}

/** The last connections are kept free for new clients: at most this many, and an eighth of all. */
const maxReserved = 32

/** Works for a TLS socket and the TCP socket below it alike. */
const keyOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`

/** No request, or only the beginning of one. */
const isIdle = ({ responses }: OpenConnection): boolean => responses.size === 0

/** Our part is done: the client does not read the end of the response. Event streams never end. */
const isUnread = ({ responses }: OpenConnection): boolean =>
  [...responses].every(response => response.writableEnded)

/**
 * Keeps one client from using all connections: above its own limit, or when few are left, its oldest connection without a
 * request is closed, then its oldest one whose response is not read.
 */
export const createConnectionLimiter = ({
  connections,
  connectionsPerClient,
}: Pick<Limits, 'connections' | 'connectionsPerClient'>): ConnectionLimiter => {
  /** In the order of their start. */
  const open = new Map<string, OpenConnection>()
  const reserved = Math.min(maxReserved, Math.floor(connections / 8))
  const closeOldest = (isCandidate: (connection: OpenConnection) => boolean): boolean => {
    for (const isUnused of [isIdle, isUnread])
      for (const [key, connection] of open)
        if (isUnused(connection) && isCandidate(connection)) {
          open.delete(key)
          connection.socket.destroy()
          return true
        }
    return false
  }
  return {
    add: socket => {
      const client = socket.remoteAddress ?? ''
      const added: OpenConnection = { socket, client, responses: new Set() }
      const key = keyOf(socket)
      open.set(key, added)
      socket.once('close', () => {
        if (open.get(key) === added) open.delete(key)
      })
      const isOther = (other: OpenConnection) => other !== added
      const ofClient = (other: OpenConnection) =>
        other.client === client && isOther(other)
      const rejectNew = () => {
        open.delete(key)
        socket.destroy()
      }
      if ([...open.values()].filter(ofClient).length >= connectionsPerClient) {
        if (!closeOldest(ofClient)) rejectNew()
      } else if (open.size > connections - reserved) {
        if (!closeOldest(isOther) && open.size > connections) rejectNew()
      }
    },
    track: (socket, response) => {
      const connection = open.get(keyOf(socket))
      if (!connection) return
      connection.responses.add(response)
      response.once('close', () => connection.responses.delete(response))
    },
  }
}
