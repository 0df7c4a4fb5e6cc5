import { request } from 'node:http'
import { worstState } from '../diagnosis/diagnose.ts'
import type { Report } from '../diagnosis/report.ts'
import { exitCodes } from './check.ts'
import { controlSocketPath } from './control-socket.ts'
import { UsageError, type Io } from './io.ts'
import { parse } from './parse.ts'
import { paintFor, renderReport } from './render.ts'

const timeoutMs = 5000
const maxBytes = 64 * 1024 * 1024

/** The report of the running daemon, through its control socket. Exits as `check`; 3 where it cannot be reached. */
export const statusCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parse(args, {
    json: { type: 'boolean' },
    socket: { type: 'string' },
  })
  const option = values['socket']
  const socket =
    typeof option === 'string'
      ? option
      : controlSocketPath(io.env, process.getuid?.() ?? 0)
  if (!socket)
    throw new UsageError(
      'there is no runtime directory to look for the daemon in; name it with --socket',
    )
  let whole: Report
  try {
    whole = JSON.parse(await ask(socket, '/api/v1/builders')) as Report
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message
    throw new UsageError(
      `the daemon cannot be reached at ${socket} (${code}); is it running? systemctl status builder-monitor`,
    )
  }
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

const ask = (socketPath: string, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: timeoutMs }, response => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
        if (body.length > maxBytes) asked.destroy(new Error('the answer is too long'))
      })
      response.on('end', () =>
        response.statusCode === 200
          ? resolve(body)
          : reject(new Error(`HTTP ${response.statusCode}`)),
      )
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')))
    asked.on('error', reject)
    asked.end()
  })
