import { chmodSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { Log } from '../../log/log.ts'
import type { HeldSlots } from './held-slots.ts'
import { readLines } from './read-lines.ts'
import { leaseMs, parseHoldRequest, type HoldReply } from './messages.ts'

export interface HolderServerDeps {
  readonly slots: HeldSlots
  /** Nix's directory `current-load`. */
  readonly directory: string
  readonly log: Log
  /** Called with each valid request, and with none when everything is released. */
  readonly onEndpoints?: (abort: readonly string[]) => void
  /** Why nothing can be held; sent to each connection. */
  readonly failure?: string | undefined
  /** For tests; 20 s. */
  readonly leaseMs?: number
}

/** Replies that a monitor has not read, bytes: more than a few complete lists. */
const maxUnreadBytes = 16 * 1024 * 1024

/** The side of the holder that the monitor talks to. */
export interface HolderServer {
  /** Listens on a path, or on the socket that systemd passes as a file descriptor. Rejects when it cannot. */
  listen(at: { readonly path: string } | { readonly fd: number }): Promise<void>
  /** To be called after each change of the slots: reports it to the monitor. */
  reportChange(): void
  /** Milliseconds since the last monitor left; 0 while there is one. */
  idleMs(): number
  close(): Promise<void>
}

/**
 * Serves one monitor at a time. Everything is released when its connection ends, when a request is invalid, and when the
 * lease ends: 20 s without a request. Who may connect is decided by the mode of the socket.
 */
export const createHolderServer = (deps: HolderServerDeps): HolderServer => {
  const { slots, log, directory } = deps
  const lease = deps.leaseMs ?? leaseMs
  let active: { readonly socket: Socket; pid: number | null } | null = null
  let leaseTimer: NodeJS.Timeout | undefined
  let idleSince = performance.now()
  let reportQueued = false

  const send = (socket: Socket, reply: HoldReply) => {
    if (!socket.writable) return
    socket.write(`${JSON.stringify(reply)}\n`)
    if (socket.writableLength <= maxUnreadBytes) return
    log.warn({}, 'the monitor does not read replies, everything is released')
    leave(socket)
    socket.destroy()
  }
  const leave = (socket: Socket): void => {
    if (active?.socket !== socket) return
    clearTimeout(leaseTimer)
    active = null
    idleSince = performance.now()
    deps.onEndpoints?.([])
    slots.releaseAll().catch((error: unknown) => {
      // The kernel frees the locks of a process that has ended
      log.error({ err: error }, 'cannot release slots, exiting')
      process.exit(1)
    })
  }
  const end = (socket: Socket, error: string) => {
    log.warn({ reason: error }, 'connection of the monitor ended')
    leave(socket)
    send(socket, { error })
    // A monitor that is stopped does not read the reason
    socket.end()
    setTimeout(() => socket.destroy(), 100).unref()
  }
  const renew = (socket: Socket) => {
    clearTimeout(leaseTimer)
    leaseTimer = setTimeout(
      () => end(socket, `no request for ${lease / 1000} s, everything is released`),
      lease,
    )
  }
  const onRequest = (socket: Socket, line: string): void => {
    const request = parseHoldRequest(line)
    if (typeof request === 'string') return end(socket, request)
    if (request.directory !== directory)
      return end(
        socket,
        `the slot holder uses ${directory}, and the monitor ${request.directory}: set NIX_STATE_DIR of both units to the same directory`,
      )
    if (active?.socket !== socket) return
    active.pid = request.pid
    renew(socket)
    slots.hold(request.hold)
    deps.onEndpoints?.(request.abort)
  }
  const server: Server = createServer(socket => {
    socket.on('error', () => undefined)
    if (deps.failure !== undefined) return end(socket, deps.failure)
    if (active)
      return end(
        socket,
        `another monitor (process ${active.pid ?? 'unknown'}) uses this slot holder: stop it first`,
      )
    active = { socket, pid: null }
    renew(socket)
    readLines(socket, {
      onLine: line => onRequest(socket, line),
      onTooLong: () => end(socket, 'the request is too long'),
    })
    socket.on('close', () => leave(socket))
  })

  return {
    listen: at =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(at, () => {
          server.off('error', reject)
          if ('path' in at) chmodSync(at.path, 0o660)
          resolve()
        })
      }),
    reportChange: () => {
      if (reportQueued) return
      reportQueued = true
      // One report for all slots of one turn
      setImmediate(() => {
        reportQueued = false
        if (active) send(active.socket, slots.status())
      })
    },
    idleMs: () => (active ? 0 : performance.now() - idleSince),
    close: async () => {
      server.close()
      const { socket } = active ?? {}
      if (socket) leave(socket)
      socket?.destroy()
      await slots.releaseAll()
    },
  }
}
