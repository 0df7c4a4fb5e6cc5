/** What the daemon does for a builder on schedule, with a monitor that only records its calls. */
import t from 'tap'
import { validationContext } from '../../src/cli/validation-context.ts'
import { defaultConfig, type Config } from '../../src/config/config.ts'
import { createJobs, type JobName } from '../../src/daemon/jobs.ts'
import type { Monitor } from '../../src/engine/monitor.ts'
import type { LocalDaemon, Outcome, ProbeName } from '../../src/model/index.ts'
import { createStore } from '../../src/state/store.ts'
import { aBuilder, aResult, intervals, listOf, ok } from '../support/builders.ts'

const now = 1000
const builder = aBuilder()
const { signal } = new AbortController()
const refused: Outcome = { status: 'failed', kind: 'auth_denied', params: {} }
const trusted: LocalDaemon = { answers: true, trusted: true, version: '2.34.8' }

interface Played {
  readonly overrides?: Partial<Config['builders'][string]>
  readonly config?: Partial<Config>
  /** Known before the job runs. */
  readonly results?: readonly (readonly [ProbeName, Outcome, number?])[]
  /** What a login, a canary and a look at the slots find. */
  readonly finds?: Partial<Record<'login' | 'canary' | 'slots', Outcome>>
  readonly localDaemon?: LocalDaemon
  readonly usesOwnSubstituters?: boolean
}

/** Runs one job and returns the calls of the monitor and the requested runs, in order. */
const callsOf = async (
  name: JobName,
  played: Played = {},
  due: readonly string[] = [],
): Promise<readonly unknown[]> => {
  const store = createStore({
    evaluateHealth: ({ health }) => ({ health, changedAt: [] }),
    now: () => now,
    intervals,
  })
  store.setBuilders(listOf(builder))
  for (const [probe, outcome, at = now] of played.results ?? [])
    store.record(builder, [aResult(probe, outcome, at)])
  const calls: unknown[] = []
  const find = (probe: 'login' | 'canary' | 'slots') => {
    const outcome = played.finds?.[probe] ?? ok()
    store.record(builder, [aResult(probe, outcome, now)])
    return outcome
  }
  const monitor = {
    store,
    nix: () => ({
      version: '2.34.8',
      system: 'x86_64-linux',
      ...(played.usesOwnSubstituters
        ? { settings: { 'builders-use-substitutes': { value: 'true' } } }
        : {}),
    }),
    endpoints: { keyOf: () => 'b1:22' },
    askLocalDaemon: async () => played.localDaemon ?? trusted,
    isConnected: () => true,
    disconnect: () => void calls.push('disconnect'),
    checkLogin: async () => {
      calls.push('login')
      const { status } = find('login')
      return { isUsable: status === 'ok' }
    },
    checkTelemetry: async (_: unknown, probes: readonly ProbeName[]) =>
      void calls.push(['telemetry', ...probes]),
    checkThroughput: async () => void calls.push('throughput'),
    checkSlots: async () => {
      calls.push('slots')
      find('slots')
    },
    runCanary: async (_: unknown, mode: string) => {
      calls.push(`canary ${mode}`)
      find('canary')
    },
    recordSkipped: (_: unknown, probes: readonly ProbeName[], kind: string) =>
      void calls.push(['skipped', ...probes, kind]),
    recordBusy: (_: unknown, probe: ProbeName, kind: string) =>
      void calls.push(['busy', probe, kind]),
  } as unknown as Monitor
  const config: Config = {
    ...defaultConfig(validationContext),
    ...played.config,
    builders: {
      b1: {
        expect: 'awake',
        drained: false,
        canary: true,
        metered: false,
        ...played.overrides,
      },
    },
  }
  const jobs = createJobs({
    monitor,
    config: () => config,
    now: () => now,
    random: () => 0.5,
    runOnce: (job, _, delayMs) => void calls.push([`once ${job}`, delayMs]),
  })
  await jobs.find(job => job.name === name)!.run(builder, new Set(due), signal)
  return calls
}

const loggedIn = [
  ['login', ok()],
  ['trust', ok()],
] as const

t.test('nothing is done for a drained builder', async t => {
  const drained = {
    overrides: { drained: true },
    results: loggedIn,
    usesOwnSubstituters: true,
  }
  t.same(await callsOf('login', drained), ['disconnect'], 'its connection is closed')
  for (const job of [
    'telemetry',
    'substituters',
    'throughput',
    'canary',
    'daemonCanary',
  ] as const)
    t.same(await callsOf(job, drained, ['system', 'disk']), [], job)
})

t.test(
  'the first login is followed by telemetry, a canary and a measurement',
  async t => {
    const [login, telemetry, ...requests] = await callsOf('login')
    t.equal(login, 'login')
    t.match(telemetry, ['telemetry', 'system'])
    t.same(requests, [
      ['once canary', 0],
      ['once throughput', 0],
      ['once substituters', 0],
    ])
  },
)

t.test('a login waits for the end of a back-off', async t => {
  const denied = [['login', refused, now - 10]] as const
  t.same(await callsOf('login', { results: denied }), [['once login', 51_000]])
  t.same(
    await callsOf('login', {
      results: [['login', refused, now - 60]],
      finds: { login: refused },
    }),
    [
      'login',
      ['telemetry', 'system', 'disk', 'memory', 'locks', 'sessions'],
      ['once login', 301_000],
    ],
  )
})

t.test('a builder that may sleep gets no kept connection', async t => {
  const asleep = await callsOf('login', { overrides: { expect: 'asleep' } })
  t.ok(asleep.includes('disconnect'))
  t.notOk((await callsOf('login')).includes('disconnect'))
})

t.test('telemetry runs the due probes only', async t => {
  t.same(await callsOf('telemetry', {}, ['memory']), [['telemetry', 'memory']])
  t.same(await callsOf('telemetry', {}, ['disk']), [['telemetry', 'disk', 'locks']])
  t.same(await callsOf('telemetry', {}, ['system']), [
    ['telemetry', 'system', 'sessions'],
  ])
})

t.test('a link is measured unless that is off or it is metered', async t => {
  t.same(await callsOf('throughput'), ['throughput'])
  t.same(
    await callsOf('throughput', { config: { throughput: { minMiBPerSecond: 0 } } }),
    [],
  )
  t.same(await callsOf('throughput', { overrides: { minMiBPerSecond: 0 } }), [])
  t.same(await callsOf('throughput', { overrides: { metered: true } }), [])
  t.same(
    await callsOf('throughput', { overrides: { metered: true, minMiBPerSecond: 5 } }),
    [],
    'also with a limit',
  )
  t.same(await callsOf('throughput', { overrides: { expect: 'asleep' } }), [])
})

t.test('the substituters of a builder are asked where it uses them', async t => {
  t.same(await callsOf('substituters'), [])
  t.same(await callsOf('substituters', { usesOwnSubstituters: true }), [
    ['telemetry', 'substituters'],
  ])
})

t.test('a canary needs a login and is repeated after a failure', async t => {
  t.same(await callsOf('canary', { results: loggedIn }), ['canary private'])
  t.same(await callsOf('canary'), [['skipped', 'canary', 'dependency_failed']])
  t.same(await callsOf('canary', { results: loggedIn, overrides: { canary: false } }), [
    ['skipped', 'canary', 'not_requested'],
  ])
  const failed: Outcome = { status: 'failed', kind: 'build_failed', params: {} }
  t.same(await callsOf('canary', { results: loggedIn, finds: { canary: failed } }), [
    'canary private',
    ['once canary', 60_000],
  ])
})

t.test('a canary through the daemon takes no slot from builds', async t => {
  const slots = (held: number): Outcome =>
    ok({
      configured: 2,
      inUse: Array.from({ length: held }, (_, slot) => ({ slot, pid: 9, since: now })),
    })
  t.same(
    await callsOf('daemonCanary', { results: loggedIn, finds: { slots: slots(2) } }),
    ['slots', ['busy', 'canary', 'slots_full']],
  )
  t.same(
    await callsOf('daemonCanary', { results: loggedIn, finds: { slots: slots(1) } }),
    ['slots', 'canary daemon'],
  )
  for (const localDaemon of [
    { answers: true, trusted: false, version: '2.34.8' },
    { answers: false, reason: 'ENOENT' },
  ] as const)
    t.same(await callsOf('daemonCanary', { results: loggedIn, localDaemon }), [])
})
