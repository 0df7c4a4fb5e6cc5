import type { TestDelivery } from '../alerts/delivery/send-test-alert.ts'
import { requestDaemon, resolveControlSocket } from './control-socket.ts'
import { UsageError, type Io } from './terminal.ts'
import { createPaint } from './paint.ts'

/** Requests to receivers run in parallel, 10 s each at most; a webhook gets two, firing and resolved. */
const timeoutMs = 30_000

/** Requests a test alert from the running daemon, sent with the labels, credentials and connection of real alerts. */
export const alertTestCommand = async (
  { socket: path }: { readonly socket: string | undefined },
  io: Io,
): Promise<number> => {
  const socket = resolveControlSocket(path, io)
  const { status, body } = await requestDaemon(socket, 'POST', '/-/alert-test', timeoutMs)
  if (status !== 200)
    throw new UsageError(
      status === 404
        ? 'the running daemon is an older version without this command: restart it'
        : `the daemon replied with HTTP ${status}`,
    )
  const { receivers } = JSON.parse(body) as {
    readonly receivers: readonly TestDelivery[]
  }
  if (receivers.length === 0)
    throw new UsageError(
      'no receivers configured: alerting.alertmanagers and alerting.webhooks are empty (docs/alerting.md)',
    )
  const paint = createPaint(io.isTerminal, io.env)
  for (const { receiver, kind, error } of receivers) {
    const symbol = error === null ? paint.status('ok', '✔') : paint.status('failed', '✘')
    io.out(`${symbol} ${kind} ${receiver}: ${error ?? 'test alert delivered'}\n`)
  }
  return receivers.every(({ error }) => error === null) ? 0 : 1
}
