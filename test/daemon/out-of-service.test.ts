import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parseConfig } from '../../src/config/config.ts'
import { createOutOfService } from '../../src/daemon/out-of-service.ts'
import { nextHealth } from '../../src/diagnosis/health.ts'
import { silentLog } from '../../src/log/log.ts'
import type { Kind, Outcome } from '../../src/model/index.ts'
import type { HolderState, Wanted } from '../../src/quarantine/holder/holder-client.ts'
import { createStore } from '../../src/state/store.ts'
import type { StateFile } from '../../src/state/state-file.ts'
import { aBuilder, aResult, intervals, listOf, ok } from '../support/builders.ts'

const until = async (isSo: () => boolean) => {
  while (!isSo()) await delay(5)
}

const failed = (kind: Kind): Outcome<never> => ({ status: 'failed', kind, params: {} })

const b1 = aBuilder({
  name: 'b1',
  host: 'b1',
  storeUri: 'ssh://u@b1',
  line: 'b1',
  maxJobs: 2,
})
const b1ng = aBuilder({
  name: 'b1 (ssh-ng)',
  host: 'b1.alias',
  storeUri: 'ssh-ng://u@b1',
  line: 'b1ng',
  maxJobs: 1,
})
const b2 = aBuilder({
  name: 'b2',
  host: 'b2',
  storeUri: 'ssh://u@b2',
  line: 'b2',
  maxJobs: 1,
})
const b3 = aBuilder({
  name: 'b3',
  host: 'b3',
  storeUri: 'ssh://u@b3',
  line: 'b3',
  maxJobs: 1,
})

const create = (t: Test, settings: object = {}, persisted?: unknown) => {
  let now = 1000
  const parsed = parseConfig(JSON.stringify(settings), {
    validateCron: () => null,
    alertNames: [],
  })
  if (!parsed.ok) throw new Error(parsed.errors.join())
  const { config } = parsed
  let wanted: Wanted = { slots: [], abort: [], staysConnected: false }
  let report: (state: HolderState) => void = () => undefined
  let saved = persisted
  const rechecked: string[] = []
  const stateFile: StateFile = {
    read: () => saved,
    write: (_, value) => {
      saved = JSON.parse(JSON.stringify(value()))
    },
    flush: async () => undefined,
    watch: () => undefined,
  }
  const store = createStore({
    evaluateHealth: state =>
      nextHealth(state, {
        now,
        selfCheckFailed: false,
        intervals,
        problems: [],
        expect: 'awake',
        belowMinFreeSeconds: 3600,
      }),
    now: () => now,
    intervals,
  })
  const outOfService = createOutOfService({
    store,
    config: () => config,
    clock: {
      now: () => now * 1000,
      monotonic: () => now * 1000,
      sleep: async () => undefined,
    },
    log: silentLog,
    stateFile,
    createHolder: onChange => {
      report = onChange
      return { hold: next => void (wanted = next), close: () => undefined }
    },
    keyOf: ({ host, name }) =>
      name.startsWith('b1') ? '10.0.0.1 port 22' : (host ?? ''),
    connections: { makesProgress: () => false },
    recheck: ({ name }) => rechecked.push(name),
  })
  const beforeStart = wanted
  store.setBuilders(listOf(b1, b1ng, b2, b3))
  outOfService.start()
  t.teardown(() => outOfService.stop())
  return {
    outOfService,
    store,
    rechecked,
    beforeStart,
    wanted: () => wanted,
    report: (state: HolderState) => report(state),
    saved: () => saved,
    state: (name: string) => store.read().builders.get(name)!,
    at: (time: number) => (now = time),
  }
}

const drain = { by: 'ada', reason: null, until: null }

t.test('a drain holds the slots of all lines of the host', async t => {
  const { outOfService, wanted, state, report, saved } = create(t)
  t.match(outOfService.drain(['b1'], drain), { ok: true, names: ['b1', 'b1 (ssh-ng)'] })
  t.same(
    wanted().slots.filter(name => !/-[0-9a-z]{16}-\d$/.test(name)),
    ['ssh-ng:__u@b1-0', 'ssh:__u@b1-0', 'ssh:__u@b1-1'],
  )
  t.equal(state('b1').health.state, 'drained')
  t.match(saved(), { drains: [{ name: 'b1', by: 'ada' }, {}], slots: wanted().slots })
  report({
    status: 'connected',
    slots: {
      // Each slot has a file for every name that Nix may use
      held: wanted().slots.filter(name => /^ssh:__u@b1.*-0$/.test(name)),
      waiting: ['ssh:__u@b1-1'],
      refused: {},
    },
  })
  await until(() => state('b1').hold?.held === 1)
  t.match(state('b1').hold, { held: 1, running: 1 })
  t.ok(outOfService.isOurs('ssh:__u@b1-0'))
  t.notOk(outOfService.isOurs('ssh:__u@b1-1'), 'a build runs there')
  t.match(outOfService.undrain(['b1']), { ok: true, names: ['b1', 'b1 (ssh-ng)'] })
  t.same(wanted().slots, [])
  t.not(state('b1').health.state, 'drained')
})

t.test('a restart holds the same slots before the builders are known', async t => {
  const first = create(t)
  first.outOfService.drain(['b2'], { ...drain, until: 5000 })
  const { slots } = first.wanted()
  const second = create(t, {}, first.saved())
  t.same(second.beforeStart.slots, slots)
  t.same(second.wanted().slots, slots)
  t.equal(second.state('b2').drain?.by, 'ada')
})

t.test('a drain ends by itself, and the configuration wins', async t => {
  const { outOfService, at, store, state, wanted } = create(t, {
    builders: { b3: { drained: true } },
  })
  t.ok(wanted().slots.includes('ssh:__u@b3-0'))
  t.match(outOfService.undrain(['b3']), {
    ok: false,
    error: /b3 is drained by the configuration: remove builders.b3.drained/,
  })
  outOfService.drain(['b2'], { ...drain, until: 2000 })
  t.ok(state('b2').drain)
  at(2001)
  store.tick()
  store.updateMonitor({})
  await until(() => !state('b2').drain)
  t.notOk(wanted().slots.includes('ssh:__u@b2-0'))
})

t.test('a line that is added for a drained host is drained, too', async t => {
  const { outOfService, store, state, wanted } = create(t)
  outOfService.drain(['b2'], { ...drain, reason: 'new disk', until: 5000 })
  const second = { ...b2, name: 'b2#2', line: 'b2#2', storeUri: 'ssh-ng://u@b2' }
  store.setBuilders(listOf(b1, b2, second, b3))
  await until(() => wanted().slots.includes('ssh-ng:__u@b2-0'))
  t.match(state('b2#2').drain, { by: 'ada', reason: 'new disk', until: 5000 })
  t.notOk(state('b3').drain)
  t.match(outOfService.undrain(['b2#2']), { ok: true, names: ['b2', 'b2#2'] })
  t.same(wanted().slots, [])
})

t.test('the drain of a builder that left the list can be ended', async t => {
  const { outOfService, store, saved } = create(t)
  outOfService.drain(['b2', 'b3'], drain)
  store.setBuilders(listOf(b1, b3))
  t.match(outOfService.undrain(['b2', 'b3']), { ok: true, names: ['b2', 'b3'] })
  t.match(saved(), { drains: [] })
  t.match(outOfService.undrain(['b2']), { ok: false, error: /no builder is called b2/ })
})

t.test('errors', async t => {
  const { outOfService, report } = create(t)
  t.match(outOfService.drain(['b4'], drain), {
    ok: false,
    error: /no builder is called b4, did you mean b/,
  })
  t.match(outOfService.undrain(['b2']), { ok: false, error: 'b2: not drained' })
  report({ status: 'unavailable', reason: 'the slot holder is not running' })
  t.match(outOfService.drain(['b2'], drain), {
    ok: true,
    warning: 'builds are not kept away: the slot holder is not running',
  })
})

t.test(
  'quarantine holds slots only when it is on, and checks the other lines of the host',
  async t => {
    for (const [settings, holds] of [
      [{}, false],
      [{ quarantine: { enable: true, dryRun: true } }, false],
      [{ quarantine: { enable: true } }, true],
    ] as const) {
      const { outOfService, store, wanted, state, rechecked } = create(t, settings)
      store.record(b1, [aResult('login', ok(), 1000)])
      store.record(b1, [aResult('login', failed('tcp_refused'), 1001)])
      // Decides at once
      outOfService.drain(['b3'], drain)
      t.equal(wanted().slots.includes('ssh:__u@b1-0'), holds)
      t.equal(wanted().staysConnected, holds)
      t.equal(state('b1').quarantine !== undefined, 'quarantine' in settings)
      if (holds) t.same(rechecked, ['b1 (ssh-ng)'])
      if (holds) t.same(store.read().quarantine?.countByKind, { tcp_refused: 1 })
    }
  },
)

t.test(
  'the machines file follows the list, also while no builder is drained',
  async t => {
    const machinesFile = `${t.testdir()}/machines`
    const { store } = create(t, { quarantine: { machinesFile } })
    const lines = () => readFileSync(machinesFile, 'utf8').split('\n').length
    await until(() => existsSync(machinesFile))
    const before = lines()
    store.setBuilders(listOf(b1, b2))
    await until(() => lines() < before)
    t.equal(lines(), before - 2)
  },
)
