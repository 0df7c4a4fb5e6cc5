import { createServer, type Server, type Socket } from 'node:net'
import ssh2, { type AuthContext, type Connection, type ServerChannel } from 'ssh2'
import type { DemoBuilder } from './demo-builder.ts'
import { runCommand } from './commands.ts'

/** Limits of a client; it is disconnected beyond them. */
const maxConnections = 20
const maxSessions = 10
const loginGraceMs = 10_000
const maxRejectedKeys = 6
const floodWindowMs = 10_000
const maxBytesPerWindow = 4 * 1024 * 1024

export interface DemoServerOptions {
  readonly builder: DemoBuilder
  /** OpenSSH private key. */
  readonly hostKey: string
  /** Public key blob of the only client that can log in. */
  readonly clientKey: Buffer
}

/** The SSH server of one simulated builder, on a port of 127.0.0.1. */
export interface DemoServer {
  readonly port: number
  /** Disconnects all clients and rejects new ones until `reopen`. */
  close(): Promise<void>
  /** Listens on the same port again. Rejects if another program has it. */
  reopen(): Promise<void>
}

export const startDemoServer = async (
  options: DemoServerOptions,
): Promise<DemoServer> => {
  const sockets = new Set<Socket>()
  const ssh = new ssh2.Server({ hostKeys: [options.hostKey] }, client => {
    handleClient(client, options)
  })
  const listener = createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // ssh2 has no such limits
    dropFloodingClient(socket)
    ssh.injectSocket(socket)
  })
  listener.maxConnections = maxConnections
  const port = await listen(listener, 0)
  return {
    port,
    close: () =>
      new Promise(resolve => {
        listener.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
    reopen: async () => {
      await listen(listener, port)
    },
  }
}

const listen = (listener: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen(port, '127.0.0.1', () => {
      listener.off('error', reject)
      const address = listener.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })

const dropFloodingClient = (socket: Socket): void => {
  let windowEnds = 0
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    const now = Date.now()
    if (now >= windowEnds) {
      windowEnds = now + floodWindowMs
      bytes = 0
    }
    bytes += chunk.length
    if (bytes > maxBytesPerWindow) socket.destroy()
  })
}

/** Handles one client: login within a time limit, then a limited number of parallel sessions. */
const handleClient = (
  client: Connection,
  { builder, clientKey }: DemoServerOptions,
): void => {
  let rejected = 0
  let sessions = 0
  const disconnected = new AbortController()
  const loginTimer = setTimeout(() => client.end(), loginGraceMs)
  client.on('error', () => undefined)
  client.on('close', () => {
    clearTimeout(loginTimer)
    disconnected.abort(new Error('the client disconnected'))
  })
  client.on('authentication', context => {
    if (isAuthorized(context, clientKey)) return context.accept()
    context.reject(['publickey'])
    if (++rejected > maxRejectedKeys) client.end()
  })
  client.on('ready', () => {
    clearTimeout(loginTimer)
    client.on('session', (accept, reject) => {
      if (sessions >= maxSessions) return reject()
      sessions++
      accept()
        .once('close', () => sessions--)
        .once('exec', startExec)
    })
  })
  const startExec = (
    acceptExec: () => ServerChannel,
    _: unknown,
    info: { command: string },
  ) => {
    const channel = acceptExec()
    channel.on('error', () => undefined)
    void runCommand({
      channel,
      command: info.command,
      builder,
      signal: disconnected.signal,
    })
  }
}

/** Accepts the client's key: without a signature when it is offered, then only with a valid one. */
const isAuthorized = (context: AuthContext, clientKey: Buffer): boolean => {
  if (context.method !== 'publickey' || !context.key.data.equals(clientKey)) return false
  if (context.signature === undefined || context.blob === undefined) return true
  const key = ssh2.utils.parseKey(clientKey)
  return (
    !(key instanceof Error) &&
    key.verify(context.blob, context.signature, context.hashAlgo) === true
  )
}
