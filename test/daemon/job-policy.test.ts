import t from 'tap'
import {
  canaryBlocker,
  canaryRetryDelayMs,
  keepsConnection,
  loginBackoffMs,
  needsCanary,
  nextLoginDelayMs,
} from '../../src/daemon/job-policy.ts'
import { nextHealth } from '../../src/diagnosis/health.ts'
import type { BuilderState, Outcome, ProbeName, State } from '../../src/model/index.ts'
import { createStore } from '../../src/state/store.ts'
import { aBuilder, aResult, intervals, listOf, ok } from '../support/builders.ts'

const failed = (kind: 'auth_denied' | 'tcp_refused' | 'build_failed'): Outcome => ({
  status: 'failed',
  kind,
  params: {},
})
const skipped = (kind: 'dependency_failed' | 'not_ssh_store'): Outcome => ({
  status: 'skipped',
  kind,
  params: {},
})

/** The state of a builder after results at the given times. */
const stateAfter = (
  results: readonly (readonly [ProbeName, Outcome, number?])[],
  state: State = 'unknown',
): BuilderState => {
  const store = createStore({
    evaluateHealth: ({ health }) => ({ health: { ...health, state }, changedAt: [] }),
    now: () => 1000,
    intervals,
  })
  store.setBuilders(listOf(aBuilder()))
  for (const [probe, outcome, at = 1000] of results)
    store.record(aBuilder(), [aResult(probe, outcome, at)])
  return store.read().builders.get('b1')!
}
const half = () => 0.5

t.test('after refused keys the next login waits 1, 5, then 15 minutes', async t => {
  const refusals = [1000, 1100, 1500, 2500]
  for (const [count, seconds] of [
    [1, 60],
    [2, 300],
    [3, 900],
    [4, 900],
  ] as const) {
    const times = refusals.slice(0, count)
    const last = times.at(-1)!
    const state = stateAfter(times.map(at => ['login', failed('auth_denied'), at]))
    t.equal(loginBackoffMs(state, last + seconds - 1), 2000)
    t.equal(loginBackoffMs(state, last + seconds), 0)
    t.equal(nextLoginDelayMs(state, false, last, half), (seconds + 1) * 1000)
  }
})

t.test('other failures delay no login', async t => {
  t.equal(loginBackoffMs(undefined, 0), 0)
  t.equal(loginBackoffMs(stateAfter([['login', failed('tcp_refused')]]), 1000), 0)
})

t.test('an unexpected result is confirmed by a second login', async t => {
  const up = stateAfter([['login', ok()]], 'healthy')
  const down = stateAfter([['login', failed('tcp_refused')]], 'down')
  t.equal(nextLoginDelayMs(up, true, 1000, half), null)
  t.equal(nextLoginDelayMs(up, false, 1000, half), 7000)
  t.equal(nextLoginDelayMs(down, false, 1000, half), null)
  t.equal(nextLoginDelayMs(down, true, 1000, half), 7000)
  const asleep = stateAfter([['login', failed('tcp_refused')]], 'asleep')
  t.equal(nextLoginDelayMs(asleep, false, 1000, half), null)
  const local = stateAfter([['login', skipped('not_ssh_store')]], 'unknown')
  t.equal(nextLoginDelayMs(local, true, 1000, half), null)
})

t.test('a builder that may sleep keeps no connection', async t => {
  t.equal(keepsConnection({ keepConnections: true }, undefined), true)
  t.equal(
    keepsConnection({ keepConnections: true }, { expect: 'asleep' } as never),
    false,
  )
  t.equal(keepsConnection({ keepConnections: false }, undefined), false)
})

t.test(
  'a login is followed by a canary when one is missing, waited or failed',
  async t => {
    t.equal(needsCanary(stateAfter([['login', ok()]]), 2000), true)
    t.equal(needsCanary(stateAfter([['canary', ok()]]), 2000), false)
    t.equal(
      needsCanary(stateAfter([['canary', skipped('dependency_failed')]]), 2000),
      true,
    )
    const recovered = [
      ['login', failed('tcp_refused')],
      ['canary', failed('build_failed')],
      ['login', ok()],
    ] as const
    t.equal(needsCanary(stateAfter(recovered), 2000), true)
    t.equal(needsCanary(stateAfter([...recovered, ['login', ok()]]), 2000), false)
  },
)

t.test('a failed canary is repeated twice', async t => {
  const failures = (count: number) =>
    Array.from({ length: count }, () => ['canary', failed('build_failed')] as const)
  t.equal(canaryRetryDelayMs(stateAfter(failures(1))), 60_000)
  t.equal(canaryRetryDelayMs(stateAfter(failures(2))), 60_000)
  t.equal(canaryRetryDelayMs(stateAfter(failures(3))), null)
  t.equal(canaryRetryDelayMs(stateAfter([['canary', ok()]])), null)
})

t.test('a canary is skipped with the reason', async t => {
  const up = stateAfter([
    ['login', ok()],
    ['trust', ok()],
  ])
  t.equal(canaryBlocker(up, 'private', true, 1000), null)
  t.match(canaryBlocker(up, 'private', false, 1000), { kind: 'not_requested' })
  t.match(canaryBlocker(stateAfter([]), 'private', true, 1000), {
    params: { waitsFor: 'login' },
  })
  const refused = stateAfter([['login', failed('auth_denied')]])
  t.match(canaryBlocker(refused, 'private', true, 1000), {
    kind: 'dependency_failed',
    params: { waitsFor: 'login' },
  })
  t.equal(
    canaryBlocker(refused, 'daemon', true, 1000),
    null,
    'the daemon may have the key',
  )
  const untrusted = stateAfter([
    ['login', ok()],
    ['trust', failed('build_failed')],
  ])
  t.match(canaryBlocker(untrusted, 'private', true, 1000), {
    params: { waitsFor: 'trust' },
  })
})

t.test('near min-free there is one canary a day', async t => {
  const disk = ok({
    store: { path: '/nix', availableBytes: 1050, sizeBytes: 1e9, availableInodes: null },
    minFree: 1000,
  })
  const state = stateAfter([
    ['login', ok()],
    ['disk', disk],
    ['canary', ok(), 1000],
  ])
  t.match(canaryBlocker(state, 'private', true, 2000), { kind: 'below_min_free' })
  t.equal(canaryBlocker(state, 'private', true, 1000 + 86_401), null)
})

t.test('a builder that refuses our key stays down during the back-off', async t => {
  let now = 0
  const store = createStore({
    evaluateHealth: state =>
      nextHealth(state, {
        now,
        selfCheckFailed: false,
        intervals: { ...intervals, login: 120 },
        problems: [],
        expect: 'awake',
        belowMinFreeSeconds: 3600,
      }),
    now: () => now,
    intervals,
  })
  store.setBuilders(listOf(aBuilder()))
  const states = new Set<State>()
  let nextLogin = 0
  // Two hours, a second at a time, with logins as the daemon schedules them
  for (; now < 7200; now++) {
    if (now >= nextLogin) {
      store.record(aBuilder(), [aResult('login', failed('auth_denied'), now)])
      const state = store.read().builders.get('b1')!
      nextLogin = now + nextLoginDelayMs(state, false, now, half)! / 1000
    }
    store.tick()
    const { state } = store.read().builders.get('b1')!.health
    if (now > 120) states.add(state)
  }
  t.same([...states], ['down'])
  t.equal(store.read().builders.get('b1')?.health.changes, 1)
})
