import { request } from 'node:http'
import { defaultControlSocket } from '../daemon/control-socket.ts'
import { UsageError, type Io } from './terminal.ts'

const maxResponseBytes = 64 * 1024 * 1024

/** Returns the path of `--socket`, or the default. Throws UsageError if there is no default. */
export const resolveControlSocket = (option: string | undefined, io: Io): string => {
  if (option !== undefined) return option
  const socket = defaultControlSocket(io.env, process.getuid?.() ?? 0)
  if (socket) return socket
  throw new UsageError(
    'no runtime directory for the control socket of the daemon; use --socket',
  )
}

/** Sends a request to the running daemon. Rejects with UsageError if the daemon is unreachable, or its response too long or late. */
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
            daemonRequest.destroy(new Error('the response is too long'))
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
    daemonRequest.on('timeout', () =>
      daemonRequest.destroy(new Error('no response in time')),
    )
    daemonRequest.on('error', (error: NodeJS.ErrnoException) =>
      reject(
        new UsageError(
          error.code === 'ENOENT' || error.code === 'ECONNREFUSED'
            ? `the daemon is not running: nothing listens on ${socketPath}; see: systemctl status builder-monitor`
            : `cannot reach the daemon at ${socketPath} (${error.code ?? error.message})`,
        ),
      ),
    )
    daemonRequest.end()
  })
