/** The real script in a real shell over a real SSH connection, and links of other rates. */
import { spawn } from 'node:child_process'
import { Transform } from 'node:stream'
import t, { type Test } from 'tap'
import type { ServerChannel } from 'ssh2'
import type { ProbeContext, Remote, ThroughputValue } from '../../src/model/index.ts'
import { createThroughputProbe } from '../../src/probes/throughput.ts'
import { formatRate } from '../../src/text/rate.ts'
import { clock, dialTo, sshServer } from '../transport/ssh/support.ts'
import { contextOf as contextWith } from './support.ts'

const mebibyte = 1024 ** 2

const contextOf = (remote: Remote): ProbeContext => ({ ...contextWith(remote), clock })

/** Passes bytes at this rate. */
const throttle = (bytesPerSecond: number) =>
  new Transform({
    highWaterMark: 1,
    transform: (chunk: Buffer, _, callback) => {
      setTimeout(() => callback(null, chunk), (chunk.length / bytesPerSecond) * 1000)
    },
  })

interface Link {
  readonly upload?: number
  readonly download?: number
}

/** A login to a server that runs commands in a shell, at these rates. */
const connect = async (t: Test, link: () => Link = () => ({})) => {
  let commands = 0
  const { port } = await sshServer(t, {
    exec: (channel, command) => {
      if (command.startsWith('nix-')) return
      commands++
      const shell = spawn('/bin/sh', ['-c', command])
      shell.stdin.on('error', () => undefined)
      const { upload = Infinity, download = Infinity } = link()
      channel.pipe(throttle(upload)).pipe(shell.stdin)
      shell.stdout.pipe(throttle(download)).pipe(channel)
      channel.on('close', () => shell.kill())
    },
  })
  const { connection } = await dialTo(t, port)()
  if (!connection) throw new Error('no connection')
  return { remote: connection, commands: () => commands }
}

const probe = (limit: number) => createThroughputProbe({ minBytesPerSecond: () => limit })

t.test('measures the round trip and both directions', async t => {
  const { remote, commands } = await connect(t)
  const outcome = await probe(1000).run(contextOf(remote))
  if (outcome.status !== 'ok') throw new Error(JSON.stringify(outcome))
  const { value } = outcome
  t.ok(value.roundTripSeconds > 0 && value.roundTripSeconds < 5)
  t.ok(value.upload! > mebibyte / 10, formatRate(value.upload))
  t.ok(value.download! > mebibyte / 10, formatRate(value.download))
  t.same(value.usual, { upload: value.upload, download: value.download })
  t.equal(commands(), 1)
})

t.test('a slow direction is measured twice and degrades', async t => {
  const { remote, commands } = await connect(t, () => ({ upload: 2 * mebibyte }))
  const outcome = await probe(20 * mebibyte).run(contextOf(remote))
  t.match(outcome, { status: 'degraded', kind: 'slow_link' })
  if (outcome.status !== 'degraded') return
  t.match(
    outcome.params['detail'],
    /^upload [\d.]+ MiB\/s, download \d.* round trip .* limit 20 MiB\/s$/,
  )
  // The throttle is never faster
  t.ok(outcome.value.upload! < 2.5 * mebibyte, formatRate(outcome.value.upload))
  t.equal(commands(), 2)
})

t.test('a slow moment is not a slow link', async t => {
  let measurements = 0
  const { remote } = await connect(t, () =>
    measurements++ === 0 ? { download: mebibyte } : {},
  )
  const outcome = await probe(1.5 * mebibyte).run(contextOf(remote))
  t.equal(outcome.status, 'ok', JSON.stringify(outcome))
  t.equal(measurements, 2)
})

t.test('a tenth of the usual rate is slow', async t => {
  const { remote } = await connect(t, () => ({ upload: 2 * mebibyte }))
  const last: ThroughputValue = {
    roundTripSeconds: 0.001,
    upload: 100 * mebibyte,
    download: null,
    limit: 1,
    usual: { upload: 100 * mebibyte, download: null },
  }
  const outcome = await probe(1).run({
    ...contextOf(remote),
    last: name => (name === 'throughput' ? (last as never) : null),
  })
  t.match(outcome, {
    status: 'degraded',
    kind: 'slow_link',
    params: { detail: /usual upload 100 MiB\/s/ },
    value: { usual: { upload: 100 * mebibyte } },
  })
})

for (const [name, exec] of [
  [
    'an account without a shell is skipped',
    (channel: ServerChannel, command: string) => {
      if (command.startsWith('nix-')) return
      channel.write('This account is not available.\n')
      channel.exit(1)
      channel.end()
    },
  ],
  [
    'a forced command that waits for its protocol is skipped at once',
    (channel: ServerChannel) => {
      let received = 0
      channel.on('data', (chunk: Buffer) => {
        received += chunk.length
        if (received < 8) return
        channel.exit(1)
        channel.end()
      })
    },
  ],
] as const)
  t.test(name, async t => {
    const { port } = await sshServer(t, { exec })
    const { connection } = await dialTo(t, port)()
    t.match(await probe(mebibyte).run(contextOf(connection!)), {
      status: 'skipped',
      kind: 'no_data',
    })
  })

t.test('a command that never answers is skipped', async t => {
  const { port } = await sshServer(t, { exec: () => undefined })
  const { connection } = await dialTo(t, port)()
  const context: ProbeContext = {
    ...contextOf(connection!),
    clock: { ...clock, sleep: (_, signal) => clock.sleep(50, signal) },
  }
  t.match(await probe(mebibyte).run(context), {
    status: 'skipped',
    kind: 'no_data',
    params: { detail: 'no answer in 30 s' },
  })
})

t.test('exports the rates', async t => {
  const value: ThroughputValue = {
    roundTripSeconds: 0.02,
    upload: 5,
    download: null,
    limit: 1,
    usual: { upload: 5, download: null },
  }
  t.same(
    probe(1)
      .samples(value, contextOf({ open: () => Promise.reject(new Error('')) }).builder)
      .map(({ family, labels, value }) => [family, labels['direction'] ?? null, value]),
    [
      ['nix_builder_round_trip_seconds', null, 0.02],
      ['nix_builder_throughput_bytes_per_second', 'upload', 5],
    ],
  )
})
