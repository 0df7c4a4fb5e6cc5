import type { TestDelivery } from '../alerts/delivery/send-test-alert.ts'
import { requestDaemon, resolveControlSocket } from './control-socket.ts'
import { UsageError, type Io } from './terminal.ts'
import { parseArguments } from './arguments.ts'
import { createPaint } from './render.ts'

/** Receivers are asked at the same time; each may take ten seconds for an answer, a webhook for two of them. */
const timeoutMs = 30_000

/**
 * `alert test`: the running daemon tells every configured receiver a test alert, with the identity, the secrets and the
 * way to it that real alerts have. Exits with 0 where all took it, 1 where one did not, 3 where there is nobody to tell.
 */
export const alertCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parseArguments(args, { socket: { type: 'string' } })
  if (positionals.length !== 1 || positionals[0] !== 'test')
    throw new UsageError('say: builder-monitor alert test')
  const socket = resolveControlSocket(values['socket'], io)
  const { status, body } = await requestDaemon(socket, 'POST', '/-/alert-test', timeoutMs)
  if (status !== 200)
    throw new UsageError(
      status === 404
        ? 'the daemon that runs is older and cannot do that: restart it'
        : `the daemon answers with HTTP ${status}`,
    )
  const { receivers } = JSON.parse(body) as {
    readonly receivers: readonly TestDelivery[]
  }
  if (receivers.length === 0)
    throw new UsageError(
      'the configuration names nobody to tell: alerting.alertmanagers and alerting.webhooks are empty (docs/alerting.md)',
    )
  const paint = createPaint(io.isTerminal, io.env)
  for (const { receiver, kind, error } of receivers) {
    const symbol = error === null ? paint.status('ok', '✔') : paint.status('failed', '✘')
    io.out(`${symbol} ${kind} ${receiver}: ${error ?? 'took the test alert'}\n`)
  }
  return receivers.every(({ error: fault }) => fault === null) ? 0 : 1
}
