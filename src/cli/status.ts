import { worstState } from '../diagnosis/diagnose.ts'
import type { Report } from '../diagnosis/report.ts'
import { askDaemon, controlSocketOf } from './control-socket.ts'
import { exitCodes } from './exit-codes.ts'
import { UsageError, type Io } from './io.ts'
import { parse } from './parse.ts'
import { paintFor, renderReport } from './render.ts'

const timeoutMs = 5000

/** The report of the running daemon, through its control socket. Exits as `check`; 3 where it cannot be reached. */
export const statusCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parse(args, {
    json: { type: 'boolean' },
    socket: { type: 'string' },
  })
  const socket = controlSocketOf(values['socket'], io)
  const { status, body } = await askDaemon(socket, 'GET', '/api/v1/builders', timeoutMs)
  if (status !== 200) throw new UsageError(`the daemon answers with HTTP ${status}`)
  const whole = JSON.parse(body) as Report
  const builders = whole.builders.filter(
    builder => positionals.length === 0 || positionals.includes(builder.name),
  )
  const unknown = positionals.find(
    name => !whole.builders.some(builder => builder.name === name),
  )
  if (unknown) throw new UsageError(`the daemon watches no builder called ${unknown}`)
  const report = { ...whole, builders, state: worstState(builders.map(b => b.state)) }
  io.out(
    values['json'] === true
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderReport(report, paintFor(io.isTerminal, io.env))}\n`,
  )
  return exitCodes[report.state]
}
