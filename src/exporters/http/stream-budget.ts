import type { ServerResponse } from 'node:http'
import type { Limits } from './limits.ts'

/** Reserves a place for a stream until its response closes. Returns false when there is none. */
export type ReserveStream = (response: ServerResponse) => boolean

/** Limits responses that never end, of all addresses and for each client, so that they leave connections for requests. */
export const createStreamBudget = ({
  streams,
  streamsPerClient,
}: Pick<Limits, 'streams' | 'streamsPerClient'>): ReserveStream => {
  const clients = new Map<string, number>()
  let total = 0
  return response => {
    // Clients of a unix socket are a proxy, whose clients are many
    const client = response.req.socket.remoteAddress ?? null
    const ofClient = client === null ? 0 : (clients.get(client) ?? 0)
    if (total >= streams || ofClient >= streamsPerClient) return false
    total++
    if (client !== null) clients.set(client, ofClient + 1)
    response.once('close', () => {
      total--
      if (client === null) return
      const left = (clients.get(client) ?? 1) - 1
      if (left > 0) clients.set(client, left)
      else clients.delete(client)
    })
    return true
  }
}
