import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Log } from '../log.ts'
import type { Route } from './exporter.ts'
import { startHttp, type HttpServer, type Listen } from './http.ts'

/** Listens on every address, or on none: rejects with the first error. Without its control socket the daemon still runs. */
export const listenAll = async (
  addresses: readonly Listen[],
  controlSocket: string | null,
  routes: readonly Route[],
  log: Log,
): Promise<HttpServer[]> => {
  const servers: HttpServer[] = []
  try {
    for (const address of addresses) servers.push(await startHttp(address, routes, log))
  } catch (error) {
    await Promise.all(servers.map(server => server.close()))
    throw error
  }
  if (controlSocket !== null)
    try {
      await mkdir(dirname(controlSocket), { recursive: true, mode: 0o755 })
      servers.push(await startHttp({ path: controlSocket }, routes, log))
    } catch (error) {
      // Everything but `status` works without it
      log.warn({ path: controlSocket, err: error }, 'no control socket')
    }
  return servers
}
