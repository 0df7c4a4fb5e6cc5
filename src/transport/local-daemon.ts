import { connect } from 'node:net'
import { openWorker } from '../nix/protocol/worker.ts'

/** What the nix-daemon of this machine says to us. */
export type LocalDaemon =
  | { readonly answers: true; readonly trusted: boolean; readonly version: string | null }
  | { readonly answers: false; readonly reason: string }

export type AskLocalDaemon = (signal: AbortSignal) => Promise<LocalDaemon>

const timeoutMs = 5000

/** Where the daemon listens (globals.cc nixDaemonSocketFile). */
export const daemonSocketPath = (
  env: Readonly<Record<string, string | undefined>>,
): string =>
  env['NIX_DAEMON_SOCKET_PATH'] ||
  `${env['NIX_STATE_DIR'] || '/nix/var/nix'}/daemon-socket/socket`

/** Asks whether the local nix-daemon runs and trusts our user. Never rejects. */
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
