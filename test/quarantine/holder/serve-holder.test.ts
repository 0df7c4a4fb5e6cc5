/** The holder and its clients over real unix sockets, with slots that are only recorded. */
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  createHolderClient,
  onlySlots,
  type HolderState,
} from '../../../src/quarantine/holder/holder-client.ts'
import { holdEarly } from '../../../src/quarantine/holder/early-hold.ts'
import type { HeldSlots } from '../../../src/quarantine/holder/held-slots.ts'
import { createHolderServer } from '../../../src/quarantine/holder/serve-holder.ts'
import { silentLog } from '../../../src/log/log.ts'

const directory = '/nix/var/nix/current-load'

const start = async (t: Test, leaseMs?: number, failure?: string) => {
  const warnings: string[] = []
  const dir = mkdtempSync(join(tmpdir(), 'holder-'))
  const path = join(dir, 'hold.sock')
  let held: readonly string[] = []
  const slots: HeldSlots = {
    hold: names => {
      held = names
      server.reportChange()
    },
    status: () => ({ held, waiting: [], refused: {} }),
    releaseAll: async () => {
      held = []
    },
  }
  const server = createHolderServer({
    slots,
    directory,
    log: { ...silentLog, warn: (_, text) => void warnings.push(text ?? '') },
    failure,
    ...(leaseMs === undefined ? {} : { leaseMs }),
  })
  await server.listen({ path })
  t.teardown(async () => {
    await server.close()
    rmSync(dir, { recursive: true })
  })
  return { path, server, warnings, held: () => held }
}

/** Sends a text and returns everything that the holder replies until it closes the connection. */
const send = (path: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let reply = ''
    const socket = connect(path, () => socket.write(text))
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (reply += chunk))
    socket.on('close', () => resolve(reply))
    socket.on('error', reject)
  })

const until = async (isSo: () => boolean) => {
  while (!isSo()) await delay(5)
}

const request = (change: object = {}) =>
  `${JSON.stringify({ pid: 1, directory, hold: ['ssh:__b1-0'], abort: [], ...change })}\n`

t.test('a monitor holds slots until its connection ends', async t => {
  const { path, held } = await start(t)
  t.equal(statSync(path).mode & 0o777, 0o660)
  let state: HolderState = { status: 'idle' }
  const client = createHolderClient({
    socketPath: path,
    directory,
    pid: 77,
    onChange: next => (state = next),
  })
  client.hold(onlySlots(['a-0', 'a-1']))
  await until(() => state.status === 'connected')
  t.same(held(), ['a-0', 'a-1'])
  t.match(
    await send(path, request()),
    /another monitor \(process 77\) uses this slot holder/,
  )
  client.hold(onlySlots(['a-1']))
  await until(() => held().length === 1)
  client.hold(onlySlots([]))
  await until(() => held().length === 0)
  t.equal(state.status, 'idle')
  client.hold(onlySlots(['a-1']))
  await until(() => held().length === 1)
  client.close()
  await until(() => held().length === 0)
})

t.test('everything is released when the lease ends', async t => {
  const { path, held } = await start(t, 50)
  const reply = send(path, request())
  await until(() => held().length === 1)
  t.match(await reply, /no request for 0.05 s, everything is released/)
  t.same(held(), [])
})

t.test('invalid requests end the connection and release everything', async t => {
  const { path, held } = await start(t)
  const invalid: readonly [string, RegExp][] = [
    ['nonsense\n', /the request is not JSON/],
    ['null\n', /the request is not an object/],
    ['[]\n', /pid is not a process ID/],
    [request({ pid: -1 }), /pid is not a process ID/],
    [request({ directory: 'x' }), /directory is not an absolute path/],
    [request({ directory: '/other' }), /set NIX_STATE_DIR of both units/],
    [request({ hold: 'x' }), /hold is not a list/],
    [request({ hold: ['../../../etc/passwd-0'] }), /is not the name of a slot lock/],
    [request({ hold: ['/etc/passwd-0'] }), /is not the name of a slot lock/],
    [request({ hold: ['.-0'] }), /is not the name of a slot lock/],
    [request({ hold: ['main-lock'] }), /is not the name of a slot lock/],
    [request({ hold: ['b1.upload-lock'] }), /is not the name of a slot lock/],
    [request({ hold: ['x\n-0'] }), /is not the name of a slot lock/],
    [request({ hold: [`${'x'.repeat(300)}-0`] }), /is not the name of a slot lock/],
    [request({ abort: ['x'] }), /is not an endpoint/],
    [request({ abort: 1 }), /abort is not a list of endpoints/],
    [request({ hold: [1] }), /is not the name of a slot lock/],
    [
      request({ hold: Array.from({ length: 20_001 }, (_, i) => `a-${i}`) }),
      /more than 20000 names/,
    ],
    ['x'.repeat(4 * 1024 * 1024 + 1), /the request is too long/],
  ]
  for (const [text, reason] of invalid) {
    t.match(await send(path, request() + text), reason)
    await until(() => held().length === 0)
  }
})

t.test('what follows an invalid request is not read', async t => {
  const { path, warnings } = await start(t)
  t.equal(await send(path, '\n'.repeat(50_000)), '{"error":"the request is not JSON"}\n')
  t.equal(warnings.length, 1)
})

t.test(
  'a client that never reads is disconnected, and everything is released',
  async t => {
    const { path, warnings, held } = await start(t)
    const hold = Array.from({ length: 15_000 }, (_, i) => `${'x'.repeat(180)}-${i}`)
    const socket = connect(path)
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.pause()
    socket.write(request({ hold }))
    await until(() => held().length > 0)
    // Each request has a reply of 3 MB
    for (let i = 0; i < 12 && warnings.length === 0; i++) {
      socket.write(request({ hold }))
      await delay(10)
    }
    await until(() => warnings.length > 0)
    t.match(warnings, ['the monitor does not read replies, everything is released'])
    t.same(held(), [])
  },
)

t.test('the client says why nothing is held, and connects when it can', async t => {
  const { path, held } = await start(t)
  const states: HolderState[] = []
  const client = createHolderClient({
    socketPath: `${path}.missing`,
    directory,
    pid: 1,
    onChange: state => states.push(state),
  })
  t.teardown(() => client.close())
  client.hold(onlySlots(['a-0']))
  await until(() => states.length > 0)
  t.match(states[0], { status: 'unavailable', reason: /the slot holder is not running/ })
  const other = createHolderClient({
    socketPath: path,
    directory: '/another',
    pid: 1,
    onChange: state => states.push(state),
  })
  t.teardown(() => other.close())
  other.hold(onlySlots(['a-0']))
  await until(() =>
    states.some(one => one.status === 'unavailable' && /another/.test(one.reason)),
  )
  t.same(held(), [])
})

t.test('a holder without a lock program says so', async t => {
  const { path, held } = await start(t, undefined, 'flock is not installed')
  t.match(await send(path, request()), '{"error":"flock is not installed"}')
  t.same(held(), [])
})

t.test(
  'a new connection renews the lease, also when the old one closes later',
  async t => {
    const { path, held } = await start(t, 300)
    const client = createHolderClient({
      ...{ socketPath: path, directory, pid: 1, renewMs: 50 },
      onChange: () => undefined,
    })
    t.teardown(() => client.close())
    client.hold(onlySlots(['a-0']))
    await until(() => held().length === 1)
    client.hold(onlySlots([]))
    client.hold(onlySlots(['a-1']))
    await until(() => held()[0] === 'a-1')
    const releasedAt = performance.now() + 600
    await until(() => held().length === 0 || performance.now() > releasedAt)
    t.same(held(), ['a-1'], 'is still held after two leases')
  },
)

t.test('a holder that does not answer is unavailable, and is tried again', async t => {
  const path = join(mkdtempSync(join(tmpdir(), 'holder-')), 'hold.sock')
  let connections = 0
  const server = createServer(() => connections++).listen(path)
  t.teardown(() => server.close())
  const states: HolderState[] = []
  const client = createHolderClient({
    ...{ socketPath: path, directory, pid: 1, answerMs: 50, renewMs: 10 },
    onChange: state => states.push(state),
  })
  t.teardown(() => client.close())
  client.hold(onlySlots(['a-0']))
  await until(() => connections === 2)
  t.match(states, [
    { status: 'unavailable', reason: /the slot holder does not answer for 0.05 s/ },
  ])
})

t.test('a holder that worked is connected again at once', async t => {
  const { path, server, held } = await start(t)
  const states: string[] = []
  const client = createHolderClient({
    ...{ socketPath: path, directory, pid: 1 },
    onChange: state => states.push(state.status),
  })
  t.teardown(() => client.close())
  client.hold(onlySlots(['a-0']))
  await until(() => held().length === 1)
  await server.close()
  const closedAt = performance.now()
  await server.listen({ path })
  await until(() => states.join() === 'connected,unavailable,connected')
  t.ok(performance.now() - closedAt < 1000)
  t.same(held(), ['a-0'])
})

t.test('an early connection is handed over with its state', async t => {
  const { path, held } = await start(t)
  const early = await holdEarly({ socketPath: path, directory, pid: 1 }, ['a-0', 'a-1'])
  t.same(held(), ['a-0', 'a-1'], 'held before anything else is loaded')
  const states: HolderState[] = []
  const client = early.take(state => states.push(state))
  t.same(states, [], 'not reported before the caller is ready')
  await until(() => states.length === 1)
  t.match(states, [{ status: 'connected', slots: { held: ['a-0', 'a-1'] } }])
  early.close()
  client.hold(onlySlots(['a-1']))
  await until(() => held().length === 1)
  client.close()
  await until(() => held().length === 0)

  const unused = await holdEarly({ socketPath: path, directory, pid: 1 }, ['a-0'])
  t.same(held(), ['a-0'])
  unused.close()
  await until(() => held().length === 0)
  const none = await holdEarly({ socketPath: `${path}.no`, directory, pid: 1 }, ['a-0'])
  none.close()
})
