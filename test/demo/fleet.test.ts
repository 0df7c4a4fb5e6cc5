import { fork } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import ssh2, { type ClientChannel } from 'ssh2'
import t, { type Test } from 'tap'
import { generateKey } from '../../src/demo/keys.ts'
import { startDemoFleet, type DemoFleet } from '../../src/demo/fleet.ts'
import type { Builder, Outcome } from '../../src/model/index.ts'
import { instantiate } from '../../src/nix/protocol/derivation.ts'
import { openServe } from '../../src/nix/protocol/serve.ts'
import { openWorker } from '../../src/nix/protocol/worker.ts'
import { telemetryProbes } from '../../src/probes/index.ts'
import { splitSections, telemetryScript } from '../../src/probes/telemetry/script.ts'

const signal = AbortSignal.timeout(170_000)
let fleet: DemoFleet
t.before(async () => {
  fleet = await startDemoFleet({ flaky: { upMs: 700, downMs: 700 } })
})
t.teardown(() => fleet.stop())

const builderOf = (name: string): Builder => {
  const builder = fleet.builders.find(b => b.name === name)
  if (builder === undefined) throw new Error(`no ${name}`)
  return builder
}

interface LoginOptions {
  readonly privateKey?: string
  readonly hostVerifier?: (key: Buffer) => boolean
}

const login = (
  t: Test,
  builder: Builder,
  options: LoginOptions = {},
): Promise<ssh2.Client> => {
  const client = new ssh2.Client()
  t.teardown(() => client.destroy())
  return new Promise((resolve, reject) => {
    client.on('ready', () => resolve(client)).on('error', reject)
    client.connect({
      host: builder.host ?? '',
      port: builder.port ?? 0,
      username: builder.user ?? '',
      privateKey: readFileSync(builder.sshKey ?? ''),
      ...options,
    })
    client.setNoDelay(true)
  })
}

const exits = new WeakMap<ClientChannel, Promise<number | null>>()

const exec = (client: ssh2.Client, command: string): Promise<ClientChannel> =>
  new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error) return reject(error)
      // Listens at once, because the exit code may be in the same packet as the reply to exec
      exits.set(channel, new Promise(done => channel.on('exit', done)))
      resolve(channel)
    })
  })

const pipeOf = (channel: ClientChannel) => ({ stdout: channel, stdin: channel })

/** Waits for the condition; tap's timeout is the deadline. */
const until = async (condition: () => Promise<boolean>): Promise<void> => {
  while (!(await condition())) await sleep(20, undefined, { signal })
}

const accepts = ({ host, port }: Builder): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port ?? 0, host ?? '')
    socket.once('connect', () => (socket.destroy(), resolve(true)))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED'),
    )
  })

t.test('starts five different builders', async t => {
  t.same(
    fleet.builders.map(b => b.name),
    [
      'demo-healthy',
      'demo-full-disk',
      'demo-untrusted',
      'demo-changed-key',
      'demo-flaky',
    ],
  )
  t.same(fleet.nix, { version: null, system: 'x86_64-linux' })
  t.equal(new Set(fleet.builders.map(b => b.port)).size, 5)
  for (const b of fleet.builders) {
    t.equal(b.line.split(' ').length, 8, b.line)
    t.match(b.line, b.storeUri)
    t.match(
      Buffer.from(b.publicHostKey ?? '', 'base64').toString(),
      /^ssh-ed25519 AAAA\S+ demo$/,
    )
  }
  const key = builderOf('demo-healthy').sshKey ?? ''
  t.equal(statSync(key).mode & 0o777, 0o600)
  t.equal(statSync(dirname(key)).mode & 0o777, 0o700)
})

t.test(
  'each builder accepts the login and handshake; all but one have the pinned key',
  async t => {
    for (const b of fleet.builders) {
      if (b.name === 'demo-flaky') await until(() => accepts(b))
      let shown = ''
      const client = await login(t, b, {
        hostVerifier: key => ((shown = key.toString('base64')), true),
      })
      const pinned = Buffer.from(b.publicHostKey ?? '', 'base64')
        .toString()
        .split(' ')[1]
      t.equal(shown === pinned, b.name !== 'demo-changed-key', b.name)
      const channel = await exec(client, 'nix-daemon --stdio')
      const worker = await openWorker(pipeOf(channel), { signal })
      t.match(worker, { version: '1.35', nixVersion: '2.19.7' })
      t.equal(worker.trusted, b.name !== 'demo-untrusted')
      t.equal(await worker.isTrusted(), worker.trusted)
      t.equal(await worker.isValidPath('/nix/store/x'), true)
      const drv = instantiate({ name: 'x', system: 's', builder: 'b', args: [], env: {} })
      t.match(await worker.buildDerivation(drv), { isSuccess: true })
      t.equal(await worker.isValidPath('/nix/store/x'), true)
      channel.end()
    }
  },
)

t.test('the ssh:// builder serves the serve protocol', async t => {
  const [builder] = fleet.builders.filter(b => b.scheme === 'ssh')
  t.equal(builder?.name, 'demo-full-disk')
  const client = await login(t, builderOf('demo-full-disk'))
  const channel = await exec(client, 'nix-store --serve --write')
  const serve = await openServe(pipeOf(channel), { signal })
  t.equal(serve.version, '2.7')
  t.same(await serve.queryValidPaths(['/nix/store/x']), ['/nix/store/x'])
  const drv = instantiate({ name: 'x', system: 's', builder: 'b', args: [], env: {} })
  const limits = { maxSilentSeconds: 0, timeoutSeconds: 0, maxLogBytes: 0 }
  t.match(await serve.buildDerivation(drv, limits), { isSuccess: true })
  t.same(await serve.queryValidPaths(['/nix/store/x']), ['/nix/store/x'])
  channel.end()
  t.equal(await exits.get(channel), 0, 'ends when its client closes')
})

t.test('executes no other command', async t => {
  const client = await login(t, builderOf('demo-healthy'))
  const channel = await exec(client, 'touch /tmp/x')
  channel.resume()
  let stderr = ''
  channel.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  await new Promise(resolve => channel.on('close', resolve))
  t.equal(await exits.get(channel), 127)
  t.equal(stderr, 'sh: 1: touch /tmp/x: not found\n')
})

t.test('replies to the telemetry probes', async t => {
  const read = async (name: string): Promise<Results> => {
    const builder = builderOf(name)
    const channel = await exec(await login(t, builder), 'exec /bin/sh -s')
    let output = ''
    channel.on('data', (chunk: Buffer) => (output += chunk.toString()))
    channel.end(telemetryScript(telemetryProbes, 'c0ffee'))
    await new Promise(resolve => channel.on('close', resolve))
    const sections = splitSections(output, 'c0ffee')
    const results: Record<string, unknown> = {}
    for (const probe of telemetryProbes) {
      const now = Date.now() / 1000
      const outcome = probe.parse(sections.get(probe.name) ?? '', {
        builder,
        nix: { version: null, system: '' },
        sentAt: now,
        receivedAt: now,
        last: found =>
          ((results[found] as Outcome & { value: unknown })?.value ?? null) as never,
      })
      results[probe.name] = outcome
    }
    return results as Results
  }
  type Results = Readonly<Record<string, Outcome>>
  const facts = await read('demo-healthy')
  t.match(facts['system'], {
    status: 'ok',
    value: {
      nixVersion: '2.19.7',
      systems: ['x86_64-linux', 'i686-linux'],
      maxJobs: 8,
      buildUsers: 32,
      sandbox: 'true',
      minFree: 20 * 1024 ** 3,
      clockOffsetSeconds: 0,
      kernel: 'Linux 6.6.63 x86_64',
      missingFeatures: [],
    },
  })
  t.match(facts['disk'], {
    status: 'ok',
    value: {
      store: {
        path: '/nix/store',
        availableBytes: 210 * 1024 ** 3,
        sizeBytes: 500 * 1024 ** 3,
      },
      build: { availableInodes: 15_000_000 },
      state: { path: '/nix/var/nix' },
    },
  })
  t.match(facts['memory'], {
    status: 'ok',
    value: { sizeBytes: 32 * 1024 ** 3, stalledSeconds: 1.25, daemonOomKills: 0 },
  })
  t.match((await read('demo-full-disk'))['disk'], {
    status: 'degraded',
    kind: 'below_min_free',
  })
})

t.test('rejects unknown keys', async t => {
  const { private: privateKey } = generateKey('unknown')
  await t.rejects(login(t, builderOf('demo-healthy'), { privateKey }), {
    message: /authentication methods failed/,
  })
})

t.test('limits sessions and connections of a client', async t => {
  const healthy = builderOf('demo-healthy')
  const client = await login(t, healthy)
  const channels = []
  for (let i = 0; i < 10; i++) channels.push(await exec(client, 'nix-daemon --stdio'))
  await t.rejects(exec(client, 'true'), /Channel open failure/)
  channels[0]?.end()
  channels[0]?.resume()
  await until(() =>
    exec(client, 'true').then(
      () => true,
      () => false,
    ),
  )
  client.destroy()
  const sockets = Array.from({ length: 30 }, () =>
    connect(healthy.port ?? 0, '127.0.0.1'),
  )
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  let dropped = 0
  for (const socket of sockets)
    socket.on('error', () => undefined).on('close', () => dropped++)
  await until(async () => dropped >= 9)
  for (const socket of sockets) socket.destroy()
  const isFree = () =>
    login(t, healthy).then(
      () => true,
      () => false,
    )
  await until(isFree)
})

t.test('disconnects a client that floods', async t => {
  const client = await login(t, builderOf('demo-healthy'))
  client.on('error', () => undefined)
  let isDropped = false
  client.on('close', () => (isDropped = true))
  let rounds = 0
  while (!isDropped && rounds < 100) {
    rounds++
    const channel = await exec(client, '/bin/sh -s').catch(() => null)
    if (channel === null) break
    const ended = new Promise(resolve => channel.on('close', resolve))
    channel.on('error', () => undefined).resume()
    channel.write(Buffer.alloc(400 * 1024, '#'))
    await ended
  }
  t.ok(rounds > 5 && rounds < 30, `dropped after ${rounds} rounds`)
  t.ok(await login(t, builderOf('demo-healthy')), 'others are not')
})

t.test('the flaky builder closes connections, refuses new ones and recovers', async t => {
  const flaky = builderOf('demo-flaky')
  for (let i = 0; i < 2; i++) {
    await until(() => accepts(flaky))
    const socket = connect(flaky.port ?? 0, '127.0.0.1').on('error', () => undefined)
    const dropped = new Promise(resolve => socket.on('close', resolve))
    socket.resume()
    await until(async () => !(await accepts(flaky)))
    await dropped
  }
  t.ok(await accepts(builderOf('demo-healthy')))
})

t.test('starts any number of healthy builders', async t => {
  const many = await startDemoFleet({ count: 30 })
  t.teardown(() => many.stop())
  t.equal(many.builders.length, 30)
  t.equal(many.builders[29]?.name, 'demo-030')
  for (const b of many.builders) t.ok(await accepts(b))
})

t.test('stop ends the servers and deletes the key', async t => {
  const own = await startDemoFleet({ count: 1 })
  const [builder] = own.builders
  if (builder === undefined) throw new Error('no builder')
  t.ok(await accepts(builder))
  await own.stop()
  await own.stop()
  t.notOk(await accepts(builder))
  t.notOk(existsSync(dirname(builder.sshKey ?? '')))
})

t.test('ends and deletes the key when its parent is killed', async t => {
  const parent = fork(new URL('parent.ts', import.meta.url))
  t.teardown(() => parent.kill('SIGKILL'))
  const builder = await new Promise<Builder>(resolve =>
    parent.once('message', message => resolve(message as Builder)),
  )
  t.ok(await accepts(builder))
  parent.kill('SIGKILL')
  await until(async () => !(await accepts(builder)))
  await until(async () => !existsSync(dirname(builder.sshKey ?? '')))
})
