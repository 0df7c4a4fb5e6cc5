import type { Server } from 'node:http'
import { chmod, lstat, rm } from 'node:fs/promises'
import { connect } from 'node:net'

/** A TCP address, or the path of a unix socket. */
export type Listen =
  { readonly host: string; readonly port: number } | { readonly path: string }

/** Listens on an address. A unix socket is accessible to its owner and group. Rejects with the system's error. */
export const bind = async (server: Server, listen: Listen): Promise<void> => {
  if ('path' in listen) await removeStaleSocket(listen.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen, () => {
      server.off('error', reject)
      resolve()
    })
  })
  if ('path' in listen) await chmod(listen.path, 0o660)
}

/** Removes the socket file of a killed process. Keeps a socket in use and other files, so that binding fails. */
const removeStaleSocket = async (path: string): Promise<void> => {
  const stats = await lstat(path).catch(() => null)
  if (stats === null) return
  if (!stats.isSocket())
    throw Object.assign(new Error(`${path} is not a socket`), {
      code: 'ENOTSOCK',
      address: path,
    })
  if (!(await isAccepting(path))) await rm(path, { force: true })
}

const isAccepting = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Connection refused: no listener. Permission denied: there may be one
    socket.once('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code !== 'ECONNREFUSED' && code !== 'ENOENT'),
    )
  })
