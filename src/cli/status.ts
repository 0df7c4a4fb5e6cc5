import { worstState } from '../diagnosis/diagnose.ts'
import type { Report } from '../diagnosis/report.ts'
import { requestDaemon, resolveControlSocket } from './control-socket.ts'
import { exitCodes } from './exit-codes.ts'
import { UsageError, type Io } from './terminal.ts'
import { parseArguments } from './arguments.ts'
import { createPaint, renderReport } from './render.ts'

const timeoutMs = 5000

/** The report of the running daemon, through its control socket. Exits as `check`; 3 where it cannot be reached. */
export const statusCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parseArguments(args, {
    json: { type: 'boolean' },
    socket: { type: 'string' },
  })
  const socket = resolveControlSocket(values['socket'], io)
  const { status, body } = await requestDaemon(
    socket,
    'GET',
    '/api/v1/builders',
    timeoutMs,
  )
  if (status !== 200) throw new UsageError(`the daemon answers with HTTP ${status}`)
  const complete = JSON.parse(body) as Report
  const builders = complete.builders.filter(
    builder => positionals.length === 0 || positionals.includes(builder.name),
  )
  const unknown = positionals.find(
    name => !complete.builders.some(builder => builder.name === name),
  )
  if (unknown) throw new UsageError(`the daemon watches no builder called ${unknown}`)
  const report = { ...complete, builders, state: worstState(builders.map(b => b.state)) }
  io.out(
    values['json'] === true
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderReport(report, createPaint(io.isTerminal, io.env))}\n`,
  )
  return exitCodes[report.state]
}
