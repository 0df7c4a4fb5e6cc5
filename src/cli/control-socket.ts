import { request } from 'node:http'
import { defaultControlSocket } from '../daemon/control-socket.ts'
import { UsageError, type Io } from './terminal.ts'

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
