import fc from 'fast-check'
import t from 'tap'
import type {
  Builder,
  BuilderState,
  Kind,
  Outcome,
  ProbeName,
  Quarantine,
} from '../../src/model/index.ts'
import { advertisedFeatures } from '../../src/diagnosis/capabilities.ts'
import {
  nextQuarantine,
  type QuarantineContext,
  type QuarantineDecision,
} from '../../src/quarantine/next-quarantine.ts'
import { createStore } from '../../src/state/store.ts'
import { aBuilder, aResult, intervals, listOf, ok } from '../support/builders.ts'

const failed = (kind: Kind): Outcome<never> => ({ status: 'failed', kind, params: {} })
const skipped = (kind: Kind): Outcome<never> => ({ status: 'skipped', kind, params: {} })

/** A fleet whose results the test sets, with the decision after each of them. */
const createFleet = (...builders: readonly Builder[]) => {
  let now = 1000
  let decision: QuarantineDecision = { quarantines: new Map(), released: null }
  const context = {
    isSelfCheckFailing: false,
    makesProgress: (_: string) => false,
    canVerify: (_: string) => true,
  }
  const store = createStore({
    evaluateHealth: ({ health, changedAt }) => ({ health, changedAt }),
    now: () => now,
    intervals,
  })
  store.setBuilders(listOf(...builders))
  const decide = (change: Partial<QuarantineContext> = {}): QuarantineDecision => {
    decision = nextQuarantine(store.read().builders, { now, ...context, ...change })
    store.setOutOfService(
      new Map(
        [...decision.quarantines].map(([name, quarantine]) => [name, { quarantine }]),
      ),
      { mode: 'on', released: decision.released, unavailable: null, countByKind: {} },
    )
    return decision
  }
  return {
    context,
    decide,
    wait: (seconds: number) => {
      now += seconds
      return decide()
    },
    record: (name: string, probe: ProbeName, outcome: Outcome) => {
      now += 1
      const { builder } = store.read().builders.get(name)!
      store.record(builder, [aResult(probe, outcome, now)])
      return decide()
    },
    firstTimeout: (name: string) => {
      now += 1
      store.noteFirstTimeout(store.read().builders.get(name)!.builder, 'tcp_timeout')
      return decide()
    },
    state: (name: string): BuilderState => store.read().builders.get(name)!,
    get now() {
      return now
    },
  }
}

const named = (name: string, change: Partial<Builder> = {}) =>
  aBuilder({ name, host: name, line: name, ...change })
const three = () => createFleet(named('a'), named('b'), named('c'))

const isQuarantined = ({ quarantines, released }: QuarantineDecision, name: string) => {
  const found = quarantines.get(name)
  return released === null && found?.phase === 'quarantined' && found.retainedBy === null
}

t.test('one failed login quarantines', async t => {
  for (const kind of [
    'tcp_refused',
    'tcp_unreachable',
    'tcp_timeout',
    'sshd_closed',
    'banner_timeout',
    'host_key_changed',
  ] as const) {
    const fleet = three()
    fleet.record('a', 'login', ok())
    t.notOk(isQuarantined(fleet.decide(), 'a'), 'in service')
    const decision = fleet.record('a', 'login', failed(kind))
    t.ok(isQuarantined(decision, 'a'), kind)
    t.match(decision.quarantines.get('a'), { kind, count: 1, since: fleet.now })
  }
})

t.test('the first timeout of a connect quarantines before it is recorded', async t => {
  const fleet = three()
  fleet.record('a', 'login', ok())
  t.ok(isQuarantined(fleet.firstTimeout('a'), 'a'))
})

t.test(
  'never: client side, busy, skipped, slow, a timeout while builds move',
  async t => {
    const harmless: readonly [ProbeName, Outcome][] = [
      ['login', failed('auth_denied')],
      ['login', failed('dns')],
      ['login', failed('ssh_option')],
      ['login', skipped('client_offline')],
      ['login', { status: 'busy', kind: 'sshd_throttled', params: {} }],
      ['login', { status: 'degraded', kind: 'slow_login', params: {}, value: {} }],
      ['canary', failed('build_failed')],
      ['trust', failed('protocol_mismatch')],
    ]
    for (const [probe, outcome] of harmless) {
      const fleet = three()
      fleet.record('a', 'login', ok())
      const { quarantines } = fleet.record('a', probe, outcome)
      t.equal(quarantines.size, 0, 'kind' in outcome ? outcome.kind : probe)
    }
    const fleet = three()
    fleet.context.makesProgress = () => true
    t.equal(fleet.firstTimeout('a').quarantines.size, 0)
    t.equal(fleet.record('a', 'login', failed('tcp_timeout')).quarantines.size, 0)
    t.equal(fleet.record('a', 'login', failed('tcp_refused')).quarantines.size, 1)
  },
)

t.test('both ways to build fail, or Nix does', async t => {
  const fleet = three()
  fleet.record('a', 'login', ok())
  fleet.record('a', 'canary', failed('build_failed'))
  t.ok(isQuarantined(fleet.record('a', 'direct', failed('build_failed')), 'a'))
  for (const [probe, kind] of [
    ['trust', 'daemon_down'],
    ['disk', 'disk_full'],
    ['trust', 'store_read_only'],
  ] as const) {
    const other = three()
    other.record('b', 'login', ok())
    t.ok(isQuarantined(other.record('b', probe, failed(kind)), 'b'), kind)
  }
})

/** A login, and a verified build. */
const heal = (fleet: ReturnType<typeof createFleet>, name: string) => {
  fleet.record(name, 'login', ok())
  fleet.record(name, 'trust', ok())
  return fleet.record(name, 'canary', ok())
}

t.test('a login and a verified build release, each again later', async t => {
  const fleet = three()
  fleet.record('a', 'login', failed('tcp_refused'))
  fleet.record('a', 'login', ok())
  t.ok(isQuarantined(fleet.record('a', 'trust', ok()), 'a'), 'a login is no proof')
  const released = fleet.record('a', 'canary', ok())
  t.equal(released.quarantines.get('a')?.phase, 'probation')
  const waits = [0, 60, 120, 240, 480, 960, 1800, 1800]
  for (const [i, seconds] of waits.entries()) {
    if (i > 0) {
      fleet.record('a', 'login', failed('tcp_refused'))
      const at = fleet.now
      t.match(fleet.decide().quarantines.get('a'), {
        count: i + 1,
        notBefore: at + seconds,
      })
      heal(fleet, 'a')
      if (seconds > 10) {
        t.ok(isQuarantined(fleet.decide(), 'a'), 'it waits')
        t.notOk(isQuarantined(fleet.wait(seconds), 'a'), `${seconds} s`)
      }
    }
  }
  t.equal(fleet.wait(1799).quarantines.get('a')?.phase, 'probation')
  t.equal(fleet.wait(2).quarantines.size, 0, 'in service')
  fleet.record('a', 'login', failed('tcp_refused'))
  t.match(fleet.decide().quarantines.get('a'), { count: 1, notBefore: fleet.now })
})

t.test('without canaries two logins are the proof', async t => {
  const fleet = three()
  fleet.context.canVerify = () => false
  fleet.record('a', 'login', failed('tcp_refused'))
  fleet.record('a', 'trust', ok())
  t.ok(isQuarantined(fleet.record('a', 'login', ok()), 'a'))
  t.notOk(isQuarantined(fleet.record('a', 'login', ok()), 'a'))
})

t.test('floors', async t => {
  const arm = createFleet(
    named('a'),
    named('b'),
    named('arm', { systems: ['aarch64-linux'] }),
  )
  const decision = arm.record('arm', 'login', failed('tcp_refused'))
  t.equal(decision.quarantines.get('arm')?.retainedBy, 'floor', 'the last of its system')
  const names = Array.from({ length: 7 }, (_, i) => `b${i}`)
  const fleet = createFleet(...names.map(name => named(name)))
  fleet.record('b0', 'login', failed('tcp_refused'))
  fleet.record('b1', 'login', failed('tcp_refused'))
  const full = fleet.record('b2', 'login', failed('tcp_refused'))
  t.ok(isQuarantined(full, 'b0') && isQuarantined(full, 'b1'))
  t.equal(full.quarantines.get('b2')?.retainedBy, 'share', 'a third')
  t.ok(isQuarantined(heal(fleet, 'b0'), 'b2'), 'the next one when there is room')
  fleet.record('b3', 'login', failed('tcp_refused'))
  fleet.record('b4', 'login', failed('tcp_refused'))
  t.equal(fleet.record('b5', 'login', failed('tcp_refused')).released, 'panic')
  t.equal(heal(fleet, 'b5').released, 'panic', '4 of 7')
  t.equal(heal(fleet, 'b4').released, null)
  const alone = createFleet(named('a'))
  t.equal(
    alone.record('a', 'login', failed('tcp_refused')).quarantines.get('a')?.retainedBy,
    'floor',
  )
})

t.test('doubt releases everybody and quarantines nobody', async t => {
  const fleet = three()
  fleet.record('a', 'login', failed('tcp_refused'))
  t.equal(fleet.decide({ isSelfCheckFailing: true }).released, 'self_check')
  t.ok(isQuarantined(fleet.decide(), 'a'), 'and remembers who was')
  fleet.context.isSelfCheckFailing = true
  t.notOk(fleet.record('b', 'login', failed('tcp_refused')).quarantines.has('b'))
})

t.test('a clock that is set back keeps nobody out for longer', async t => {
  const fleet = three()
  fleet.record('a', 'login', failed('tcp_refused'))
  fleet.wait(-3600)
  t.notOk(isQuarantined(heal(fleet, 'a'), 'a'))
})

const systems = [['x86_64-linux'], ['aarch64-linux'], ['x86_64-linux', 'i686-linux']]
const events = [
  'refused',
  'timeout',
  'heals',
  'nix down',
  'build fails',
  'busy',
  'offline',
  'wait',
  'doubt',
] as const

t.test('10,000 random histories', async t => {
  const step = fc.tuple(fc.nat(8), fc.constantFrom(...events))
  const fleets = fc.array(fc.tuple(fc.nat(2), fc.constantFrom('', 'kvm')), {
    minLength: 1,
    maxLength: 9,
  })
  let quarantined = 0
  const property = fc.property(
    fleets,
    fc.array(step, { minLength: 1, maxLength: 25 }),
    (shape, steps) => {
      const builders = shape.map(([system, feature], i) =>
        named(`b${i}`, {
          systems: systems[system]!,
          supportedFeatures: feature ? [feature] : [],
        }),
      )
      const fleet = createFleet(...builders)
      for (const [at, event] of steps) {
        const name = `b${at % builders.length}`
        const decision = apply(fleet, name, event)
        quarantined += check(builders, decision)
      }
      // Everything heals: nobody stays out after its proof and its wait
      for (const { name } of builders) heal(fleet, name)
      fleet.wait(1800)
      for (const { name } of builders)
        if (isQuarantined(fleet.decide(), name)) throw new Error(`${name} stays out`)
    },
  )
  fc.assert(property, { numRuns: 10_000 })
  t.ok(quarantined > 10_000, 'histories with quarantined builders')
})

const apply = (
  fleet: ReturnType<typeof createFleet>,
  name: string,
  event: (typeof events)[number],
): QuarantineDecision => {
  switch (event) {
    case 'refused':
      return fleet.record(name, 'login', failed('tcp_refused'))
    case 'timeout':
      return fleet.firstTimeout(name)
    case 'heals':
      return heal(fleet, name)
    case 'nix down':
      return fleet.record(name, 'trust', failed('daemon_down'))
    case 'build fails':
      fleet.record(name, 'canary', failed('build_failed'))
      return fleet.record(name, 'direct', failed('build_failed'))
    case 'busy':
      return fleet.record(name, 'login', {
        status: 'busy',
        kind: 'sshd_throttled',
        params: {},
      })
    case 'offline':
      return fleet.record(name, 'login', skipped('client_offline'))
    case 'wait':
      return fleet.wait(600)
    case 'doubt': {
      const decision = fleet.decide({ isSelfCheckFailing: true })
      if (decision.released !== 'self_check') throw new Error('not released in doubt')
      return decision
    }
  }
}

/** Throws where a floor is broken. Returns the number of quarantined builders. */
const check = (builders: readonly Builder[], decision: QuarantineDecision): number => {
  const out = builders.filter(({ name }) => isQuarantined(decision, name))
  const failing = [...decision.quarantines.values()].filter(
    (one: Quarantine) => one.phase === 'quarantined',
  ).length
  if (failing > builders.length / 2 && builders.length > 1 && out.length > 0)
    throw new Error('no panic')
  if (out.length > Math.max(1, builders.length / 3)) throw new Error('more than a third')
  const inService = builders.filter(builder => !out.includes(builder))
  for (const builder of builders)
    for (const system of builder.systems)
      for (const feature of advertisedFeatures(builder))
        if (
          !inService.some(
            other =>
              other.systems.includes(system) && advertisedFeatures(other).has(feature),
          )
        )
          throw new Error(`nobody builds ${system} ${feature}`)
  return out.length
}
