import { unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { createNotify, watchdogMs } from '../exporters/systemd.ts'
import { createLog } from '../log/log.ts'
import { createAbortHungConnects } from '../quarantine/holder/abort-hung-connects.ts'
import { currentLoadDirectory } from '../quarantine/holder/current-load.ts'
import { findLockProgram } from '../quarantine/holder/find-lock-program.ts'
import { createHeldSlots } from '../quarantine/holder/held-slots.ts'
import { flockProgram, lockSlotFile } from '../quarantine/holder/lock-file.ts'
import { createHolderServer } from '../quarantine/holder/serve-holder.ts'
import { watchDirectory } from '../quarantine/holder/watch-directory.ts'
import { createRun } from '../transport/run.ts'
import { UsageError, wantsColor, type Io } from './terminal.ts'

/** The first descriptor that systemd passes (sd_listen_fds(3)). */
const firstPassedFd = 3
/** A holder that systemd started for a connection ends after this time without one, milliseconds. */
const maxIdleMs = 60_000
const tickMs = 1000

/** Holds slot locks until SIGTERM. Returns 0, or 1 if it cannot start. */
export const holdSlotsCommand = async (
  options: { readonly socket: string | undefined },
  io: Io,
): Promise<number> => {
  const { env } = io
  const isPassed =
    env['LISTEN_PID'] === String(process.pid) && Number(env['LISTEN_FDS']) >= 1
  if (!isPassed && options.socket === undefined)
    throw new UsageError(
      'systemd passed no socket; use --socket, or: sudo systemctl start builder-monitor-slots.socket',
    )
  const log = createLog('info', {
    format: 'auto',
    isTerminal: io.isTerminal,
    withColor: wantsColor(io.isTerminal, env),
    journalStream: env['JOURNAL_STREAM'],
  })
  const run = createRun()
  const program = await findLockProgram(run)
  const directory = await currentLoadDirectory(env)
  const watch = await watchDirectory(directory)
  const slots = createHeldSlots({
    lock: (name, signal, onWaiting) =>
      lockSlotFile(directory, name, program ?? flockProgram, signal, onWaiting),
    onChange: () => server.reportChange(),
  })
  let endpoints: ReadonlySet<string> = new Set()
  const server = createHolderServer({
    slots,
    directory,
    log,
    // Not an exit: systemd would start it again at once, because the connection is still there
    failure: program
      ? undefined
      : 'neither flock (util-linux) nor perl is installed on this machine',
    onEndpoints: abort => {
      endpoints = new Set(abort)
    },
  })
  const connects = createAbortHungConnects({
    log,
    kill: pid => {
      try {
        process.kill(pid, 'SIGTERM')
      } catch (error) {
        // It has ended by itself, or the unit lacks CAP_KILL
        log.warn({ pid, err: error }, 'cannot end a process')
      }
    },
  })
  try {
    if (options.socket !== undefined) await removeStaleSocket(options.socket)
    await server.listen(
      options.socket === undefined ? { fd: firstPassedFd } : { path: options.socket },
    )
  } catch (error) {
    io.err(
      `builder-monitor: cannot listen on ${options.socket ?? 'the socket of systemd'}: ${error instanceof Error ? error.message : String(error)}\n`,
    )
    return 1
  }
  log.info({ directory, program: program?.file ?? null }, 'started')
  const stopNotifying = notifySystemd({ run, env })
  await new Promise<void>(resolve => {
    const timer = setInterval(() => {
      if (options.socket === undefined) {
        if (server.idleMs() > maxIdleMs) stop()
        stopIfReplaced().catch(() => stop())
      }
      connects
        .look(endpoints)
        .catch((error: unknown) => log.warn({ err: error }, 'cannot read processes'))
    }, tickMs)
    const stop = () => {
      clearInterval(timer)
      resolve()
    }
    const stopIfReplaced = async () => {
      const reason = await watch.look()
      if (reason === null) return
      // The next connection starts a new process
      log.warn({ directory }, reason)
      stop()
    }
    io.signal.addEventListener('abort', stop, { once: true })
    if (io.signal.aborted) stop()
  })
  stopNotifying()
  await server.close()
  log.info({}, 'stopped')
  return 0
}

/** Removes the socket of a holder that was killed. One that still listens is kept, and listening fails. */
const removeStaleSocket = async (path: string): Promise<void> => {
  const isStale = await new Promise<boolean>(resolve => {
    const socket = connect(path)
    socket.on('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.on('error', ({ code }: NodeJS.ErrnoException) =>
      resolve(code === 'ECONNREFUSED'),
    )
  })
  if (isStale) await unlink(path)
}

/** Reports readiness, and pings the watchdog while the event loop runs. Returns a function that stops it. */
const notifySystemd = (
  options: Pick<Parameters<typeof createNotify>[0], 'run' | 'env'>,
): (() => void) => {
  if (!options.env['NOTIFY_SOCKET']) return () => undefined
  const notify = createNotify(options)
  notify('READY=1')
  const everyMs = watchdogMs({ ...options, pid: process.pid })
  const timer = everyMs ? setInterval(() => notify('WATCHDOG=1'), everyMs) : undefined
  return () => {
    clearInterval(timer)
    notify('STOPPING=1')
  }
}
