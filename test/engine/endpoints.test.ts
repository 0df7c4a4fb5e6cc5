import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createEndpoints } from '../../src/engine/endpoints.ts'
import type { Builder, LoginValue, Run } from '../../src/model/index.ts'
import { createFindEndpoint } from '../../src/transport/ssh/find-endpoint.ts'
import { aBuilder } from '../support/builders.ts'

const never = new AbortController().signal
const named = (name: string): Builder =>
  aBuilder({ name, host: name, line: `ssh-ng://nix@${name} x86_64-linux` })
const aliases = Array.from({ length: 30 }, (_, i) => named(`alias${i}`))
const value = (via: string | null): LoginValue => ({
  phases: {},
  via,
  hostKey: null,
  transport: 'ssh2',
  unreachableAddresses: [],
  endpoint: 'b1:22 behind gate',
  certificates: [],
})
const ok = (via: string | null) => ({
  outcome: { status: 'ok', value: value(via) } as const,
})

t.test(
  'logins to many names of one host never overlap, in the first round too',
  async t => {
    const endpoints = createEndpoints(async () => {
      await sleep(1)
      return '10.0.0.1 port 22'
    })
    let running = 0
    let most = 0
    await Promise.all(
      aliases.map(builder =>
        endpoints.alone(builder, never, async () => {
          most = Math.max(most, ++running)
          await sleep(1)
          running--
          return ok('10.0.0.1 port 22')
        }),
      ),
    )
    t.equal(most, 1)
    t.same(new Set(aliases.map(endpoints.keyOf)).size, 1, 'one key for the scheduler')
  },
)

t.test('names of one endpoint behind a jump host are one host', async t => {
  // What ssh -G prints for aliases of one machine behind ProxyJump
  const run: Run = async ({ args }) => ({
    code: 0,
    signal: null,
    stdout: `user nix\nhostname ${args.includes('nix@alias9') ? 'b9' : 'b1'}\nport 22\nproxyjump gate\n`,
    stderr: '',
    truncated: false,
    spawnError: null,
    aborted: false,
  })
  const nix = () => ({ version: '2.34.8', system: 'x86_64-linux' })
  const endpoints = createEndpoints(createFindEndpoint({ run, env: {}, nix }))
  const behindGate = aliases.slice(0, 9)
  const keys = await Promise.all(behindGate.map(one => endpoints.find(one, never)))
  t.same([...new Set(keys)], ['b1:22 behind gate'])
  t.equal(await endpoints.find(named('alias9'), never), 'b9:22 behind gate')
  let running = 0
  let most = 0
  await Promise.all(
    behindGate.map(builder =>
      endpoints.alone(builder, never, async () => {
        most = Math.max(most, ++running)
        await sleep(1)
        running--
        return ok('proxy gate')
      }),
    ),
  )
  t.equal(most, 1)
})

t.test('different hosts do not wait for each other, nor for one that fails', async t => {
  const endpoints = createEndpoints(async ({ host }) => `${host} port 22`)
  const [a, b] = [named('a'), named('b')]
  let end: () => void = () => undefined
  const slow = endpoints.alone(a, never, async () => {
    await new Promise<void>(resolve => (end = resolve))
    throw new Error('broken')
  })
  await endpoints.alone(b, never, async () => ok('b port 22'))
  const second = endpoints.alone(a, never, async () => ok('a port 22'))
  end()
  await t.rejects(slow, /broken/)
  t.match(await second, { outcome: { status: 'ok' } })
})

t.test('a build waits for a login and then delays the next one', async t => {
  const endpoints = createEndpoints(async () => 'one')
  const [a, b] = [named('a'), named('b')]
  const order: string[] = []
  const step = async (name: string) => {
    order.push(`${name} starts`)
    await sleep(1)
    order.push(`${name} ends`)
    return ok(null)
  }
  await Promise.all([
    endpoints.alone(a, never, () => step('login')),
    endpoints.startAlone(b, never, () => step('build')),
    endpoints.alone(b, never, () => step('next login')),
  ])
  t.same(order, [
    'login starts',
    'login ends',
    'build starts',
    'build ends',
    'next login starts',
    'next login ends',
  ])
})

t.test('the newest login decides; a failed one asks ssh again', async t => {
  let asked = 0
  const endpoints = createEndpoints(async () => `asked ${++asked}`)
  const b1 = named('b1')
  t.equal(endpoints.keyOf(b1), 'b1 port 22', 'the line, before anything is known')
  t.equal(await endpoints.find(b1, never), 'asked 1')
  t.equal(await endpoints.find(b1, never), 'asked 1', 'known')
  await endpoints.alone(b1, never, async () => ok('10.0.0.9 port 2222'))
  t.equal(endpoints.keyOf(b1), '10.0.0.9 port 2222')
  await endpoints.alone(b1, never, async () => ok('proxy gate'))
  t.equal(endpoints.keyOf(b1), 'b1:22 behind gate')
  await endpoints.alone(b1, never, async () => ({
    outcome: { status: 'failed', kind: 'dns', params: {} } as const,
  }))
  t.equal(endpoints.keyOf(b1), 'b1:22 behind gate', 'until ssh is asked')
  t.equal(await endpoints.find(b1, never), 'asked 2')
  endpoints.retain([])
  t.equal(endpoints.keyOf(b1), 'b1 port 22')
})

t.test('without an ssh program, and with one that fails, the line decides', async t => {
  const b1 = named('b1')
  t.equal(await createEndpoints(undefined).find(b1, never), 'b1 port 22')
  const failing = createEndpoints(() => Promise.reject(new Error('no ssh')))
  t.equal(await failing.find(b1, never), 'b1 port 22')
})
