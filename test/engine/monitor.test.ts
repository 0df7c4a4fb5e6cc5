import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { createMonitor } from '../../src/engine/monitor.ts'
import { demoBuilders } from '../../src/demo/demo-builder.ts'
import { renderTelemetryOutput } from '../../src/demo/telemetry.ts'
import type { MonitorPorts } from '../../src/engine/system-ports.ts'
import type { Channel, Connection, LoginValue } from '../../src/model/index.ts'
import { systemClock } from '../../src/schedule/clock.ts'
import { aBuilder, intervals, listOf } from '../support/builders.ts'

const loginValue: LoginValue = {
  phases: {},
  via: '192.0.2.1 port 22',
  hostKey: {
    ...{ type: 'ssh-ed25519', fingerprint: 'SHA256:x', blob: 'x' },
    verifiedBy: 'pinned',
  },
  transport: 'ssh2',
  unreachableAddresses: [],
  endpoint: 'b1:22',
  certificates: [],
}

const { signal } = new AbortController()

/** A connection whose channels end when it is closed. Unless `answers`, telemetry sees no output, and trust no protocol. */
const aConnection = (answers: boolean) => {
  const events = new EventEmitter()
  const opened: string[] = []
  const state = { isClosed: false }
  let end: (reason: string) => void = () => undefined
  const closed = new Promise<string>(resolve => (end = resolve))
  const connection: Connection = {
    closed,
    open: async command => {
      opened.push(command)
      events.emit('open', command)
      const [stdin, stdout, stderr] = [
        new PassThrough(),
        new PassThrough(),
        new PassThrough(),
      ]
      const isShell = command === 'exec /bin/sh -s'
      let onAnswered = (): void => undefined
      const answered = new Promise<void>(resolve => (onAnswered = resolve))
      if (isShell && answers)
        stdin.on('data', (script: Buffer) => {
          stdout.write(renderTelemetryOutput(script.toString(), demoBuilders[0]!))
          onAnswered()
        })
      // The Nix protocol ends at once, so that a login does not wait for it
      else if (!isShell) onAnswered()
      const exit = Promise.race([answered, closed]).then(() => ({
        code: 0,
        signal: null,
      }))
      void exit.then(() => {
        stdout.end()
        stderr.end()
      })
      const channel: Channel = { stdin, stdout, stderr, exit, close: () => undefined }
      return channel
    },
    close: () => {
      state.isClosed = true
      end('closed')
    },
  }
  return { connection, opened, state, events }
}

const setUp = (answers = false) => {
  const connections: ReturnType<typeof aConnection>[] = []
  let gate: Promise<void> = Promise.resolve()
  const ports: MonitorPorts = {
    clock: systemClock,
    run: () => Promise.reject(new Error('not used')),
    askLocalDaemon: () => Promise.resolve({ answers: false, reason: 'ENOENT' }),
    readSlotLocks: () => Promise.resolve({ unreadable: 'not used' }),
    checkClient: () => Promise.reject(new Error('not used')),
    isOffline: () => Promise.resolve(false),
    dial: async () => {
      await gate
      const next = aConnection(answers)
      connections.push(next)
      return { outcome: { status: 'ok', value: loginValue }, connection: next.connection }
    },
  }
  const monitor = createMonitor({
    createPorts: () => ports,
    env: {},
    testsFeatures: () => false,
    stuckAfterSeconds: () => 3600,
    health: {
      evaluateHealth: ({ health }) => ({ health, changedAt: [] }),
      intervals,
    },
  })
  return {
    monitor,
    connections,
    delayLogins: (until: Promise<void>) => {
      gate = until
    },
  }
}

t.test('a login replaces the connection and records both probes', async t => {
  const { monitor, connections } = setUp()
  const builder = aBuilder()
  monitor.setBuilders(listOf(builder))
  const login = await monitor.checkLogin(builder, signal)
  t.equal(login?.after.probes.login?.last.outcome.status, 'ok')
  t.ok(login?.after.probes.trust)
  t.equal(login?.isUsable, false, 'no protocol was spoken')
  await monitor.checkLogin(builder, signal)
  t.equal(connections[0]?.state.isClosed, true)
  t.equal(connections[1]?.state.isClosed, false)
  t.equal(monitor.isConnected(builder), true)
  monitor.close()
  t.equal(connections[1]?.state.isClosed, true)
})

t.test(
  'a login without trust replaces a connection whose sweeps are answered',
  async t => {
    const { monitor, connections } = setUp(true)
    const builder = aBuilder()
    monitor.setBuilders(listOf(builder))
    await monitor.checkLogin(builder, signal)
    await monitor.checkTelemetry(builder, ['disk'], signal)
    t.equal(
      monitor.store.read().builders.get('b1')?.probes.disk?.last.outcome.status,
      'ok',
    )
    await monitor.checkLogin(builder, signal)
    t.same(
      connections.map(({ state }) => state.isClosed),
      [true, false],
      'its session may have an old environment',
    )
    monitor.close()
  },
)

t.test(
  'telemetry that a login interrupts is repeated over the new connection',
  async t => {
    const { monitor, connections } = setUp()
    const builder = aBuilder()
    monitor.setBuilders(listOf(builder))
    await monitor.checkLogin(builder, signal)
    const telemetry = monitor.checkTelemetry(builder, ['disk'], signal)
    while (!connections[0]?.opened.includes('exec /bin/sh -s'))
      await new Promise(resolve => setImmediate(resolve))
    await monitor.checkLogin(builder, signal)
    while (!connections[1]?.opened.includes('exec /bin/sh -s'))
      await new Promise(resolve => setImmediate(resolve))
    const { disk } = monitor.store.read().builders.get('b1')!.probes
    t.equal(disk, undefined, 'the interrupted attempt is not recorded')
    monitor.close()
    await telemetry
  },
)

t.test(
  'a login that ends after its builder was removed leaves no connection',
  async t => {
    const { monitor, connections, delayLogins } = setUp()
    let release: () => void = () => undefined
    delayLogins(new Promise(resolve => (release = resolve)))
    const builder = aBuilder()
    monitor.setBuilders(listOf(builder))
    const login = monitor.checkLogin(builder, signal)
    monitor.setBuilders(listOf())
    release()
    t.equal(await login, null)
    t.equal(connections[0]?.state.isClosed, true)
    t.equal(monitor.isConnected(builder), false)
  },
)
