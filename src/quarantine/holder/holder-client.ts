import { isDeepStrictEqual } from 'node:util'
import { connect, type Socket } from 'node:net'
import { readLines } from './read-lines.ts'
import { parseHoldReply, renewMs as defaultRenewMs, type HoldStatus } from './messages.ts'

/** What the monitor knows about the slot holder. */
export type HolderState =
  /** Nothing has to be held. */
  | { readonly status: 'idle' }
  | { readonly status: 'connected'; readonly slots: HoldStatus }
  /** Builds are not kept away from any builder. */
  | { readonly status: 'unavailable'; readonly reason: string }

export interface HolderClientDeps {
  readonly socketPath: string
  /** Nix's directory `current-load`. */
  readonly directory: string
  readonly pid: number
  readonly onChange: (state: HolderState) => void
  /** For tests; 10 s and 5 s. */
  readonly answerMs?: number
  readonly renewMs?: number
}

/** What the holder has to do. */
export interface Wanted {
  /** File names of slot locks. */
  readonly slots: readonly string[]
  /** Endpoints to which hung connects of build hooks are ended. */
  readonly abort: readonly string[]
  /** Whether the holder is needed at any time: it stays connected without slots, so that a fault of it is known early. */
  readonly staysConnected: boolean
}

/** Slots alone. */
export const onlySlots = (slots: readonly string[]): Wanted => ({
  slots,
  abort: [],
  staysConnected: false,
})

const nothing = onlySlots([])

/** The connection of the monitor to the slot holder. */
export interface HolderClient {
  /** Replaces what is held. */
  hold(wanted: Wanted): void
  /** Releases everything. */
  close(): void
}

const reconnectMs = 2000
/** After a holder that worked: its slots are free until then. */
const firstReconnectMs = 100
/** A holder that does not answer for this time does not run, milliseconds. systemd may have to start it first. */
const defaultAnswerMs = 10_000
/** Connects when there is something to hold, renews the lease, and connects again after an error. */
export const createHolderClient = (deps: HolderClientDeps): HolderClient => {
  const {
    socketPath,
    directory,
    pid,
    onChange,
    answerMs = defaultAnswerMs,
    renewMs = defaultRenewMs,
  } = deps
  let wanted: Wanted = nothing
  let socket: Socket | null = null
  let timer: NodeJS.Timeout | undefined
  let answerTimer: NodeJS.Timeout | undefined
  let lastError: string | null = null
  let hasAnswered = false

  const stopWaiting = () => {
    clearTimeout(answerTimer)
    answerTimer = undefined
  }
  const request = () => {
    answerTimer ??= setTimeout(() => {
      lastError = `the slot holder does not answer for ${answerMs / 1000} s; see: journalctl -u builder-monitor-slots`
      socket?.destroy()
    }, answerMs).unref()
    socket?.write(
      `${JSON.stringify({ pid, directory, hold: wanted.slots, abort: wanted.abort })}\n`,
    )
  }
  const onLine = (line: string) => {
    stopWaiting()
    const reply = parseHoldReply(line)
    if (!reply) lastError = 'the slot holder sent an invalid reply'
    else if ('error' in reply) lastError = reply.error
    else {
      lastError = null
      hasAnswered = true
      return onChange({ status: 'connected', slots: reply })
    }
    socket?.destroy()
  }
  const open = () => {
    const opened = connect(socketPath)
    // A monitor that cannot start must end
    opened.unref()
    socket = opened
    opened.on('connect', () => {
      request()
      timer = setInterval(request, renewMs)
      timer.unref()
    })
    opened.on('error', (error: NodeJS.ErrnoException) => {
      lastError = describeConnectError(error, socketPath)
    })
    readLines(opened, {
      onLine,
      onTooLong: () => {
        lastError = 'the slot holder sent a line that is too long'
        opened.destroy()
      },
    })
    opened.on('close', () => {
      if (socket !== opened) return
      clearInterval(timer)
      stopWaiting()
      socket = null
      if (isIdle(wanted)) return
      onChange({
        status: 'unavailable',
        reason: lastError ?? 'the slot holder closed the connection',
      })
      timer = setTimeout(open, hasAnswered ? firstReconnectMs : reconnectMs)
      hasAnswered = false
      timer.unref()
    })
  }
  const close = () => {
    clearTimeout(timer)
    stopWaiting()
    const closing = socket
    socket = null
    closing?.destroy()
  }
  return {
    hold: next => {
      if (isDeepStrictEqual(next, wanted)) return
      const wasIdle = isIdle(wanted)
      wanted = next
      if (isIdle(next)) {
        if (wasIdle) return
        close()
        onChange({ status: 'idle' })
      } else if (wasIdle) open()
      else if (socket && !socket.connecting) request()
    },
    close: () => {
      wanted = nothing
      close()
    },
  }
}

const isIdle = ({ slots, staysConnected }: Wanted): boolean =>
  slots.length === 0 && !staysConnected

const describeConnectError = (
  error: NodeJS.ErrnoException,
  socketPath: string,
): string => {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
    return `the slot holder is not running: nothing listens on ${socketPath}; start it with: sudo systemctl start builder-monitor-slots.socket`
  if (error.code === 'EACCES')
    return `the slot holder does not accept this user: ${socketPath} belongs to another group`
  return `the slot holder cannot be reached at ${socketPath} (${error.code ?? error.message})`
}
