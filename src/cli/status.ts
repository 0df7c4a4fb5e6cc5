import { worstState } from '../diagnosis/diagnose.ts'
import type { Report } from '../diagnosis/report.ts'
import { requestDaemon, resolveControlSocket } from './control-socket.ts'
import { exitCodes } from './exit-codes.ts'
import { UsageError, type Io } from './terminal.ts'
import { createPaint } from './paint.ts'
import { renderReport } from './render.ts'

const timeoutMs = 5000

/** Prints the report of the running daemon. */
export const statusCommand = async (
  options: {
    readonly json: boolean
    readonly socket: string | undefined
    /** Names; all builders if empty. */
    readonly builders: readonly string[]
  },
  io: Io,
): Promise<number> => {
  const socket = resolveControlSocket(options.socket, io)
  const { status, body } = await requestDaemon(
    socket,
    'GET',
    '/api/v1/builders',
    timeoutMs,
  )
  if (status !== 200) throw new UsageError(`the daemon replied with HTTP ${status}`)
  const complete = JSON.parse(body) as Report
  // A daemon that was not restarted after an upgrade
  if (![complete.builders, complete.sharedCauses, complete.findings].every(Array.isArray))
    throw new UsageError(
      'the daemon has another version than this command: restart it (systemctl restart builder-monitor)',
    )
  const builders = complete.builders.filter(
    builder => options.builders.length === 0 || options.builders.includes(builder.name),
  )
  const unknown = options.builders.find(
    name => !complete.builders.some(builder => builder.name === name),
  )
  if (unknown) {
    const names = complete.builders.map(builder => builder.name).join(', ') || 'none'
    throw new UsageError(
      `the daemon has no builder called ${unknown} (there are: ${names})`,
    )
  }
  const report =
    options.builders.length === 0
      ? complete
      : {
          ...complete,
          builders,
          state: worstState(builders.map(b => b.state)),
          findings: complete.findings.filter(
            ({ builder }) => builder === undefined || options.builders.includes(builder),
          ),
        }
  io.out(
    options.json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderReport(report, createPaint(io.isTerminal, io.env))}\n`,
  )
  return exitCodes[report.state]
}
