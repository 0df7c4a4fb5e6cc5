import t from 'tap'
import {
  currentHealth,
  nextHealth,
  type HealthContext,
} from '../../src/diagnosis/health.ts'
import type { Kind, Outcome, ProbeName, State } from '../../src/model/index.ts'
import { createStore } from '../../src/state/store.ts'
import { aBuilder, aResult, ok } from '../support/builders.ts'

const intervals = {
  login: 120,
  trust: 120,
  system: 300,
  disk: 30,
  memory: 30,
  locks: 30,
  sessions: 300,
  substituters: 1800,
  throughput: 3600,
  canary: 1800,
  slots: 15,
  direct: 1800,
}

const failed = (kind: Kind): Outcome<never> => ({ status: 'failed', kind, params: {} })
const degraded = (kind: Kind, params = {}): Outcome => ({
  status: 'degraded',
  kind,
  params,
  value: {},
})

/** The health of one builder, with a clock that the test advances. */
const createBuilder = (change: Partial<HealthContext> = {}) => {
  let now = 1000
  const context = () => ({
    now,
    selfCheckFailed: false,
    intervals,
    problems: [],
    expect: 'awake' as const,
    belowMinFreeSeconds: 3600,
    ...change,
  })
  const store = createStore({
    evaluateHealth: state => nextHealth(state, context()),
    now: () => now,
    intervals,
  })
  const builder = aBuilder()
  store.setBuilders({
    source: 'nix',
    builders: [builder],
    problems: [],
    files: [],
    nix: { version: null, system: 'x86_64-linux' },
  })
  const health = () => store.read().builders.get('b1')!.health
  return {
    store,
    health,
    state: (): State => health().state,
    advance: (seconds: number) => {
      now += seconds
      store.evaluateAll()
    },
    record: (probe: ProbeName, outcome: Outcome) => {
      store.record(builder, [aResult(probe, outcome, now)])
      return health().state
    },
    change: (next: Partial<HealthContext>) => Object.assign(change, next),
  }
}

t.test('unknown before the first login, then healthy at once', async t => {
  const b = createBuilder()
  t.equal(b.state(), 'unknown')
  t.equal(b.record('login', ok()), 'healthy')
})

t.test('down after two failed logins at least five seconds apart', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.advance(10)
  t.equal(b.record('login', failed('tcp_refused')), 'healthy', 'one is an accident')
  b.advance(3)
  t.equal(
    b.record('login', failed('tcp_refused')),
    'healthy',
    'two within five seconds count as one',
  )
  b.advance(3)
  t.equal(b.record('login', failed('tcp_refused')), 'down')
  t.match(b.health().cause, { probe: 'login', kind: 'tcp_refused' })
})

t.test('down after one timeout of a login, which was repeated', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.advance(10)
  t.equal(b.record('login', failed('tcp_timeout')), 'down')
})

t.test('down after two timeouts of a canary, which is not repeated', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.advance(10)
  t.equal(b.record('canary', failed('build_timeout')), 'healthy')
  b.advance(60)
  t.equal(b.record('canary', failed('build_timeout')), 'down')
})

t.test('unknown while this machine cannot ask, and nothing of it remains', async t => {
  const b = createBuilder()
  const offline = { status: 'skipped', kind: 'client_offline', params: {} } as const
  b.record('login', ok())
  b.record('canary', ok({ runs: [] }))
  b.advance(10)
  t.equal(b.record('login', offline), 'unknown')
  t.match(b.health().cause, { probe: 'login', kind: 'client_offline' })
  b.advance(10)
  t.equal(b.record('login', ok()), 'healthy')
  t.equal(b.health().cause, null)
  b.advance(10)
  t.equal(b.record('login', failed('host_key_changed')), 'down')
  t.equal(b.record('login', offline), 'unknown', 'a builder that was down as well')
  b.advance(10)
  t.equal(b.record('login', ok()), 'healthy', 'the past failure is not remembered')
  t.equal(b.health().flapping, false)
})

t.test('the direct build replaces a canary that this machine cannot build', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.record('canary', failed('build_failed'))
  b.record('direct', failed('build_failed'))
  t.equal(b.state(), 'down')
  b.advance(10)
  b.record('login', ok())
  b.advance(60)
  b.record('login', ok())
  b.record('canary', { status: 'skipped', kind: 'client_temp_unusable', params: {} })
  t.equal(b.state(), 'down', 'a skipped canary alone says nothing')
  t.equal(b.record('direct', ok({ runs: [] })), 'healthy')
  t.equal(b.health().verified, true)
})

t.test('down at once for a changed host key', async t => {
  const b = createBuilder()
  b.record('login', ok())
  t.equal(b.record('login', failed('host_key_changed')), 'down')
})

t.test('healthy again after two successful logins', async t => {
  const b = createBuilder()
  b.record('login', failed('host_key_changed'))
  b.advance(10)
  t.equal(b.record('login', ok()), 'down')
  b.advance(10)
  t.equal(b.record('login', ok()), 'healthy')
})

t.test('a builder down by its canary recovers by its canary', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.record('canary', failed('build_failed'))
  b.advance(60)
  t.equal(b.record('canary', failed('build_failed')), 'down')
  b.advance(60)
  b.record('login', ok())
  b.advance(60)
  t.equal(b.record('login', ok()), 'down', 'logins do not')
  t.equal(b.record('canary', ok({ runs: [] })), 'healthy')
  t.equal(b.health().verified, true)
})

t.test('healthy without a canary is not verified', async t => {
  const b = createBuilder()
  b.record('login', ok())
  t.equal(b.health().verified, false)
  b.record('canary', ok({ runs: [] }))
  t.equal(b.health().verified, true)
})

t.test('busy and skipped results keep the health', async t => {
  const b = createBuilder()
  b.record('login', ok())
  t.equal(
    b.record('canary', { status: 'busy', kind: 'slots_full', params: {} }),
    'healthy',
  )
  t.equal(
    b.record('disk', { status: 'skipped', kind: 'no_shell', params: {} }),
    'healthy',
  )
  t.equal(
    b.record('login', { status: 'busy', kind: 'sshd_throttled', params: {} }),
    'healthy',
  )
})

t.test('degraded by low space only after an hour', async t => {
  const b = createBuilder()
  b.record('login', ok())
  const short = degraded('below_min_free', { since: '1000' })
  t.equal(b.record('disk', short), 'healthy')
  b.advance(3601)
  b.record('login', ok())
  t.equal(b.record('disk', short), 'degraded')
})

t.test('unknown after three intervals without a login', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.advance(3 * 120 + 30)
  t.equal(b.state(), 'healthy')
  b.advance(60)
  t.equal(b.state(), 'unknown')
})

t.test('no builder gets worse while the self-check fails', async t => {
  const b = createBuilder({ selfCheckFailed: true })
  b.record('login', ok())
  for (let i = 0; i < 5; i++) {
    b.advance(10)
    t.equal(b.record('login', failed('tcp_unreachable')), 'healthy')
  }
})

t.test(
  'flapping after more than four changes in 30 minutes, until 15 minutes without a change',
  async t => {
    const b = createBuilder()
    b.record('login', ok())
    for (let i = 0; i < 3; i++) {
      for (const outcome of [failed('tcp_refused'), failed('tcp_refused'), ok(), ok()]) {
        b.advance(20)
        b.record('login', outcome)
      }
    }
    t.equal(b.health().flapping, true)
    const quiet = (minutes: number) => {
      for (let i = 0; i < minutes; i++) {
        b.advance(60)
        b.record('login', ok())
      }
    }
    quiet(14)
    t.equal(b.health().flapping, true)
    quiet(2)
    t.equal(b.health().flapping, false)
  },
)

t.test('asleep, not down, if the builder may sleep and does not answer', async t => {
  const b = createBuilder({ expect: 'asleep' })
  b.record('login', ok())
  t.equal(b.record('login', failed('tcp_timeout')), 'asleep')
  b.advance(60)
  b.record('login', failed('auth_denied'))
  b.advance(60)
  t.equal(b.record('login', failed('auth_denied')), 'down', 'a rejected key is not sleep')
})

t.test('after a drain a builder is unknown until a result says what it is', async t => {
  const drain = { by: 'ann', reason: null, since: 0, until: null }
  const set = (b: ReturnType<typeof createBuilder>, isDrained: boolean) => {
    const byName = new Map(isDrained ? [['b1', { drain }]] : [])
    b.store.setOutOfService(byName, {
      ...{ mode: 'off', released: null, unavailable: null, countByKind: {} },
    })
    return b.state()
  }
  const never = createBuilder()
  t.equal(set(never, true), 'drained')
  t.equal(set(never, false), 'unknown')
  never.record('login', failed('tcp_timeout'))
  t.not(never.state(), 'drained')
  const good = createBuilder()
  good.record('login', ok())
  good.record('trust', ok())
  t.equal(set(good, true), 'drained')
  t.equal(set(good, false), 'healthy')
  const bad = createBuilder()
  t.equal(set(bad, true), 'drained')
  bad.record('login', failed('tcp_refused'))
  t.equal(set(bad, false), 'unknown', 'one failure is not down')
})

t.test('drains are no flapping', async t => {
  const b = createBuilder()
  b.record('login', ok())
  for (let i = 0; i < 6; i++) {
    b.change({ expect: 'drained' })
    b.advance(30)
    t.equal(b.state(), 'drained')
    b.change({ expect: 'awake' })
    b.record('login', ok())
    b.advance(30)
    t.equal(b.state(), 'healthy')
  }
  t.equal(b.health().flapping, false)
})

t.test('a drained builder stays drained', async t => {
  const b = createBuilder({ expect: 'drained' })
  t.equal(b.record('login', failed('host_key_changed')), 'drained')
})

t.test('every builder is down while the list is malformed', async t => {
  const problem = {
    file: '/etc/nix/machines',
    line: 3,
    message: 'bad',
    isFatal: true,
  }
  const b = createBuilder({ problems: [problem] })
  t.equal(b.record('login', ok()), 'down')
  t.match(b.health().cause, {
    probe: 'config',
    params: { where: '/etc/nix/machines:3' },
  })
  b.change({ problems: [] })
  t.equal(b.record('login', ok()), 'healthy')
})

t.test('a full disk explains an apparent daemon crash', async t => {
  const b = createBuilder()
  b.record('login', ok())
  b.record('trust', failed('daemon_crash'))
  b.record('disk', failed('disk_full'))
  b.advance(30)
  b.record('disk', failed('disk_full'))
  b.record('trust', failed('daemon_crash'))
  t.match(b.health(), { state: 'down', cause: { probe: 'disk', kind: 'disk_full' } })
})

t.test('check needs one result only', async t => {
  const store = createStore({
    evaluateHealth: state => ({ health: currentHealth(state, 1000, []), changedAt: [] }),
    now: () => 1000,
    intervals,
  })
  const builder = aBuilder()
  store.setBuilders({
    source: 'nix',
    builders: [builder],
    problems: [],
    files: [],
    nix: { version: null, system: 's' },
  })
  store.record(builder, [aResult('login', failed('tcp_refused'))])
  t.equal(store.read().builders.get('b1')?.health.state, 'down')
})
