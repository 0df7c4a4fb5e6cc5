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

/** One builder under the damped judge, with a clock that the test moves. */
const underWatch = (change: Partial<HealthContext> = {}) => {
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
  const verdict = () => store.read().builders.get('b1')!.health
  return {
    verdict,
    state: (): State => verdict().state,
    wait: (seconds: number) => {
      now += seconds
      store.tick()
    },
    see: (probe: ProbeName, outcome: Outcome) => {
      store.record(builder, [aResult(probe, outcome, now)])
      return verdict().state
    },
    change: (next: Partial<HealthContext>) => Object.assign(change, next),
  }
}

t.test('unknown until the first look, then healthy at once', async t => {
  const b = underWatch()
  t.equal(b.state(), 'unknown')
  t.equal(b.see('login', ok()), 'healthy')
})

t.test('down takes two failed logins at least five seconds apart', async t => {
  const b = underWatch()
  b.see('login', ok())
  b.wait(10)
  t.equal(b.see('login', failed('tcp_refused')), 'healthy', 'one is an accident')
  b.wait(3)
  t.equal(
    b.see('login', failed('tcp_refused')),
    'healthy',
    'two within five seconds are one',
  )
  b.wait(3)
  t.equal(b.see('login', failed('tcp_refused')), 'down')
  t.match(b.verdict().cause, { probe: 'login', kind: 'tcp_refused' })
})

t.test('time-outs take three', async t => {
  const b = underWatch()
  b.see('login', ok())
  for (const expected of ['healthy', 'healthy', 'down']) {
    b.wait(10)
    t.equal(b.see('login', failed('tcp_timeout')), expected)
  }
})

t.test('a changed host key counts at once', async t => {
  const b = underWatch()
  b.see('login', ok())
  t.equal(b.see('login', failed('host_key_changed')), 'down')
})

t.test('healthy again takes two good logins', async t => {
  const b = underWatch()
  b.see('login', failed('host_key_changed'))
  b.wait(10)
  t.equal(b.see('login', ok()), 'down')
  b.wait(10)
  t.equal(b.see('login', ok()), 'healthy')
})

t.test('what a canary took down, a canary brings back', async t => {
  const b = underWatch()
  b.see('login', ok())
  b.see('canary', failed('build_failed'))
  b.wait(60)
  t.equal(b.see('canary', failed('build_failed')), 'down')
  b.wait(60)
  b.see('login', ok())
  b.wait(60)
  t.equal(b.see('login', ok()), 'down', 'logins do not')
  t.equal(b.see('canary', ok({ runs: [] })), 'healthy')
  t.equal(b.verdict().verified, true)
})

t.test('healthy without a canary is not proven', async t => {
  const b = underWatch()
  b.see('login', ok())
  t.equal(b.verdict().verified, false)
  b.see('canary', ok({ runs: [] }))
  t.equal(b.verdict().verified, true)
})

t.test('busy and skipped change nothing', async t => {
  const b = underWatch()
  b.see('login', ok())
  t.equal(b.see('canary', { status: 'busy', kind: 'slots_full', params: {} }), 'healthy')
  t.equal(b.see('disk', { status: 'skipped', kind: 'no_shell', params: {} }), 'healthy')
  t.equal(
    b.see('login', { status: 'busy', kind: 'sshd_throttled', params: {} }),
    'healthy',
  )
})

t.test('short of space is news only after an hour', async t => {
  const b = underWatch()
  b.see('login', ok())
  const short = degraded('below_min_free', { since: '1000' })
  t.equal(b.see('disk', short), 'healthy')
  b.wait(3601)
  b.see('login', ok())
  t.equal(b.see('disk', short), 'degraded')
})

t.test('no login for three intervals makes it unknown', async t => {
  const b = underWatch()
  b.see('login', ok())
  b.wait(3 * 120 + 30)
  t.equal(b.state(), 'healthy')
  b.wait(60)
  t.equal(b.state(), 'unknown')
})

t.test('a monitor that suspects itself condemns nobody', async t => {
  const b = underWatch({ selfCheckFailed: true })
  b.see('login', ok())
  for (let i = 0; i < 5; i++) {
    b.wait(10)
    t.equal(b.see('login', failed('tcp_unreachable')), 'healthy')
  }
})

t.test(
  'more than four changes in half an hour are flapping, until a quiet quarter',
  async t => {
    const b = underWatch()
    b.see('login', ok())
    for (let i = 0; i < 3; i++) {
      for (const outcome of [failed('tcp_refused'), failed('tcp_refused'), ok(), ok()]) {
        b.wait(20)
        b.see('login', outcome)
      }
    }
    t.equal(b.verdict().flapping, true)
    const quiet = (minutes: number) => {
      for (let i = 0; i < minutes; i++) {
        b.wait(60)
        b.see('login', ok())
      }
    }
    quiet(14)
    t.equal(b.verdict().flapping, true)
    quiet(2)
    t.equal(b.verdict().flapping, false)
  },
)

t.test(
  'a builder that may sleep is asleep, not down, when it does not answer',
  async t => {
    const b = underWatch({ expect: 'asleep' })
    b.see('login', ok())
    t.equal(b.see('login', failed('tcp_timeout')), 'asleep')
    b.wait(60)
    b.see('login', failed('auth_denied'))
    b.wait(60)
    t.equal(b.see('login', failed('auth_denied')), 'down', 'but a refusal is no sleep')
  },
)

t.test('a drained builder is drained, whatever it does', async t => {
  const b = underWatch({ expect: 'drained' })
  t.equal(b.see('login', failed('host_key_changed')), 'drained')
})

t.test('a malformed list is down for everybody, and over when it is mended', async t => {
  const problem = {
    file: '/etc/nix/machines',
    line: 3,
    message: 'bad',
    isFatal: true,
  }
  const b = underWatch({ problems: [problem] })
  t.equal(b.see('login', ok()), 'down')
  t.match(b.verdict().cause, {
    probe: 'config',
    params: { where: '/etc/nix/machines:3' },
  })
  b.change({ problems: [] })
  t.equal(b.see('login', ok()), 'healthy')
})

t.test('a full disk explains a daemon that seems to crash', async t => {
  const b = underWatch()
  b.see('login', ok())
  b.see('trust', failed('daemon_crash'))
  b.see('disk', failed('disk_full'))
  b.wait(30)
  b.see('disk', failed('disk_full'))
  b.see('trust', failed('daemon_crash'))
  t.match(b.verdict(), { state: 'down', cause: { probe: 'disk', kind: 'disk_full' } })
})

t.test('check takes one sight for the answer', async t => {
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
