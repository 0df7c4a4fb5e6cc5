import t from 'tap'
import type { MonitorState, Outcome } from '../../src/model/index.ts'
import { attempt } from '../../src/engine/attempt.ts'
import { createStore } from '../../src/state/store.ts'
import { createSelfCheck } from '../../src/daemon/self-check-conditions.ts'
import { systemClock } from '../../src/schedule/clock.ts'
import { aBuilder, aResult, ok } from '../support/builders.ts'

const monitor: MonitorState = {
  startedAt: 0,
  selfCheckFailed: false,
  lastReloadOk: true,
  failuresByKind: {},
  intervals: {
    login: 1,
    trust: 1,
    system: 1,
    disk: 1,
    memory: 1,
    locks: 1,
    canary: 1,
    direct: 1,
    slots: 1,
  },
  ready: false,
}
const newStore = () =>
  createStore(
    ({ health, changedAt }) => ({ health, changedAt }),
    () => 1000,
    monitor,
  )
const listOf = (...builders: ReturnType<typeof aBuilder>[]) => ({
  source: 'nix' as const,
  builders,
  problems: [],
  files: [],
  nix: { version: null, system: 'x86_64-linux' },
})
const refused: Outcome = { status: 'failed', kind: 'tcp_refused', params: {} }

t.test('a snapshot never changes once it was read', async t => {
  const store = newStore()
  store.setBuilders(listOf(aBuilder()))
  const before = store.read()
  store.record(aBuilder(), [aResult('login', ok())])
  t.equal(before.builders.get('b1')?.probes.login, undefined)
  t.equal(store.read().version, before.version + 1)
})

t.test('builders that did not change keep their identity', async t => {
  const store = newStore()
  const [a, b] = [aBuilder({ name: 'a', line: 'a' }), aBuilder({ name: 'b', line: 'b' })]
  store.setBuilders(listOf(a, b))
  const before = store.read()
  store.record(a, [aResult('login', ok())])
  t.equal(store.read().builders.get('b'), before.builders.get('b'))
  t.not(store.read().builders.get('a'), before.builders.get('a'))
})

t.test('with nobody to look at, the first round is over', async t => {
  const store = newStore()
  store.setBuilders(listOf(aBuilder()))
  t.equal(store.read().monitor.ready, false)
  const empty = newStore()
  empty.setBuilders(listOf())
  t.equal(empty.read().monitor.ready, true)
})

t.test('successes do not push failures out of the history', async t => {
  const store = newStore()
  const builder = aBuilder()
  store.setBuilders(listOf(builder))
  store.record(builder, [aResult('login', refused)])
  for (let i = 0; i < 200; i++) store.record(builder, [aResult('login', ok())])
  const state = store.read().builders.get('b1')
  t.equal(state?.history.login?.length, 60)
  t.equal(state?.failures.length, 1)
})

t.test('attempts and failures count neither busy nor skipped', async t => {
  const store = newStore()
  const builder = aBuilder()
  store.setBuilders(listOf(builder))
  store.record(builder, [
    aResult('canary', ok()),
    aResult('canary', { status: 'busy', kind: 'slots_full', params: {} }),
    aResult('canary', { status: 'skipped', kind: 'dependency_failed', params: {} }),
    aResult('canary', { status: 'failed', kind: 'build_failed', params: {} }),
  ])
  t.match(store.read().builders.get('b1')?.probes.canary, { attempts: 2, failures: 1 })
  t.same(store.read().monitor.failuresByKind, { build_failed: 1 })
})

t.test(
  'a reload keeps the past of a line that is the same, and forgets one that changed',
  async t => {
    const store = newStore()
    const builder = aBuilder()
    store.setBuilders(listOf(builder))
    store.record(builder, [aResult('login', ok())])
    store.setBuilders(listOf(builder, aBuilder({ name: 'new', line: 'new' })))
    t.ok(store.read().builders.get('b1')?.probes.login)
    const changed = aBuilder({ line: 'another key' })
    store.setBuilders(listOf(changed))
    t.notOk(store.read().builders.get('b1')?.probes.login)
    store.record(builder, [aResult('login', ok())])
    t.notOk(
      store.read().builders.get('b1')?.probes.login,
      'late results of the old line are dropped',
    )
    t.equal(store.read().builders.has('new'), false)
  },
)

const anAttempt = (run: (signal: AbortSignal) => Promise<Outcome>, timeoutMs = 1000) =>
  attempt({
    probe: 'trust',
    timeoutMs,
    params: { host: 'b1' },
    clock: systemClock,
    signal: new AbortController().signal,
    run,
  })

t.test('an exception in a probe is an internal failure, not a crash', async t => {
  const { outcome } = await anAttempt(() => Promise.reject(new Error('boom')))
  t.match(outcome, {
    status: 'failed',
    kind: 'internal',
    params: { detail: 'boom', host: 'b1' },
  })
})

t.test('the signal fires at the deadline and at the end', async t => {
  let seen: AbortSignal | undefined
  const { outcome } = await anAttempt(
    signal =>
      new Promise(resolve =>
        signal.addEventListener('abort', () =>
          resolve({ status: 'failed', kind: 'daemon_frozen', params: {} }),
        ),
      ),
    30,
  )
  t.match(outcome, { kind: 'daemon_frozen' })
  await anAttempt(signal => {
    seen = signal
    return Promise.resolve(ok())
  })
  t.equal(seen?.aborted, true)
})

t.test('notices a clock jump, a starved loop and many failures at once', async t => {
  const suspicion = createSelfCheck()
  t.equal(suspicion.tick(0, 0), null)
  t.equal(suspicion.tick(1000, 1000), null)
  t.equal(suspicion.tick(3_600_000, 2000), 'clock_jump', 'a resume')
  t.equal(suspicion.tick(3_604_000, 6000), 'event_loop_lag')
  t.equal(suspicion.loginFailed('a', 1000, 4), null)
  t.equal(suspicion.loginFailed('b', 2000, 4), null)
  t.equal(suspicion.loginFailed('b', 2500, 4), null, 'the same builder twice is one')
  t.equal(suspicion.loginFailed('c', 3000, 4), 'many_failed_at_once')
  t.equal(createSelfCheck().loginFailed('a', 0, 100), null)
})
