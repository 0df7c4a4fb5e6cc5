import { request } from 'node:http'
import { join } from 'node:path'
import { UsageError, type Io } from './terminal.ts'

/**
 * Where the daemon can be asked: in RUNTIME_DIRECTORY of systemd, for root in /run, for others in their
 * XDG_RUNTIME_DIR; null where there is no such place.
 */
export const defaultControlSocket = (env: Io['env'], uid: number): string | null => {
  // systemd joins several directories with colons
  const runtime = env['RUNTIME_DIRECTORY']?.split(':')[0]
  const directory =
    runtime ||
    (uid === 0
      ? '/run/builder-monitor'
      : env['XDG_RUNTIME_DIR'] && join(env['XDG_RUNTIME_DIR'], 'builder-monitor'))
  return directory ? join(directory, 'control.sock') : null
}

const maxResponseBytes = 64 * 1024 * 1024

/** The socket that `--socket` names, or the usual one. Throws UsageError where there is no usual one. */
export const resolveControlSocket = (option: string | undefined, io: Io): string => {
  if (option !== undefined) return option
  const socket = defaultControlSocket(io.env, process.getuid?.() ?? 0)
  if (socket) return socket
  throw new UsageError(
    'there is no runtime directory to look for the daemon in; name its socket with --socket',
  )
}

/** Asks the running daemon. Rejects with UsageError where it cannot be reached, or says too much or nothing. */
export const requestDaemon = (
  socketPath: string,
  method: 'GET' | 'POST',
  path: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const daemonRequest = request(
      { socketPath, path, method, timeout: timeoutMs },
      response => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          body += text
          if (body.length > maxResponseBytes)
            daemonRequest.destroy(new Error('the answer is too long'))
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
    daemonRequest.on('timeout', () =>
      daemonRequest.destroy(new Error('no answer in time')),
    )
    daemonRequest.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        new UsageError(
          `the daemon cannot be reached at ${socketPath} (${error.code ?? error.message}); is it running? systemctl status builder-monitor`,
        ),
      ),
    )
    daemonRequest.end()
  })
