import { connect } from 'node:net'
import type { AskLocalDaemon } from '../model/index.ts'
import { openWorker } from '../nix/protocol/worker.ts'

const timeoutMs = 5000

/** Path of the daemon's socket (globals.cc nixDaemonSocketFile). */
export const daemonSocketPath = (
  env: Readonly<Record<string, string | undefined>>,
): string =>
  env['NIX_DAEMON_SOCKET_PATH'] ||
  `${env['NIX_STATE_DIR'] || '/nix/var/nix'}/daemon-socket/socket`

export const createAskLocalDaemon =
  (env: Readonly<Record<string, string | undefined>>): AskLocalDaemon =>
  async signal => {
    const socket = connect(daemonSocketPath(env))
    const deadline = new AbortController()
    const end = () => deadline.abort(new Error(`no answer within ${timeoutMs / 1000} s`))
    const timer = setTimeout(end, timeoutMs)
    signal.addEventListener('abort', end, { once: true })
    let failure: string | null = null
    socket.on(
      'error',
      (error: NodeJS.ErrnoException) => (failure = error.code ?? error.message),
    )
    try {
      const worker = await openWorker(
        { stdin: socket, stdout: socket },
        { signal: deadline.signal },
      )
      const trusted = worker.trusted ?? (await worker.isTrusted())
      return { answers: true, trusted, version: worker.nixVersion }
    } catch (error) {
      return {
        answers: false,
        reason: failure ?? (error instanceof Error ? error.message : String(error)),
      }
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      socket.destroy()
    }
  }
