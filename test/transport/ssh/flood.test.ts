import t from 'tap'
import { telemetryProbes } from '../../../src/probes/index.ts'
import { readTelemetry } from '../../../src/probes/telemetry/telemetry.ts'
import { trustProbe } from '../../../src/probes/trust.ts'
import { contextOf } from '../../probes/support.ts'
import { dialTo, sshServer, until } from './support.ts'

/** Returns the peak growth of the process memory during `work`, MiB. */
const grownBy = async (work: () => Promise<unknown>): Promise<number> => {
  globalThis.gc?.()
  const held = () => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const before = held()
  let most = before
  const timer = setInterval(() => (most = Math.max(most, held())), 5)
  await work()
  clearInterval(timer)
  return (Math.max(most, held()) - before) / 1024 ** 2
}

t.test(
  'reads 100 MB from a channel with bounded memory and keeps the connection usable',
  async t => {
    let sent = 0
    const { port, sessions } = await sshServer(t, {
      exec: (channel, command) => {
        if (command === 'true') {
          channel.exit(0)
          return void channel.end()
        }
        const chunk = Buffer.alloc(65_536, 'text \xff\u001b[31m\n')
        let left = 100e6
        const pour = () => {
          while (left > 0 && channel.writable) {
            left -= chunk.length
            sent += chunk.length
            if (!channel.write(chunk)) return
          }
        }
        channel.on('drain', pour)
        pour()
      },
    })
    const { connection } = await dialTo(t, port)()
    if (!connection) throw new Error('no connection')
    const first = await connection.open(
      'nix-daemon --stdio',
      new AbortController().signal,
    )
    first.close()
    const started = performance.now()
    const grown = await grownBy(async () => {
      const found = await readTelemetry(telemetryProbes, contextOf(connection))
      t.match([...found.values()], [{ status: 'skipped' }])
      t.match(await trustProbe.run(contextOf(connection)), {
        status: 'failed',
        kind: 'shell_noise',
      })
    })
    t.ok(performance.now() - started < 10_000, 'ends soon')
    t.ok(grown < 60, `${grown.toFixed(0)} MiB more`)
    t.ok(sent < 30e6, `${sent} bytes were sent`)
    await until(() => sessions.now === 0)
    const after = await connection.open('true', new AbortController().signal)
    after.stdout.resume()
    t.match(await after.exit, { code: 0 })
  },
)
