/** Built-in alerting equals Prometheus, through gaps, restarts, failed self-checks and clock jumps. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import fc from 'fast-check'
import { createEvaluator } from '../../src/alerts/evaluate.ts'
import { alertRules } from '../../src/alerts/rules.ts'
import type { AlertSettings } from '../../src/alerts/settings.ts'
import { renderTemplate } from '../../src/alerts/template.ts'
import { instanceAddress } from '../../src/alerts/instance-address.ts'
import { normalizeLabels, computeFingerprint } from '../../src/alerts/labels.ts'
import { silentLog } from '../../src/log/log.ts'
import type { Alert, AlertsState, Sample } from '../../src/model/index.ts'
import { snapshotOf } from '../exporters/fixture.ts'
import { readCases, samplesAt, secondsOf } from './promql.ts'

const settings: AlertSettings = {
  enable: true,
  labels: {},
  instance: 'c1',
  externalUrl: 'http://c1:10922',
  disabledAlerts: [],
}

/** Creates an evaluator with controllable inputs. */
const createBench = (
  options: {
    start?: number
    persisted?: unknown
    settings?: Partial<AlertSettings>
    forMultiplier?: number
  } = {},
) => {
  const own = {
    wall: options.start ?? 1_800_000_000,
    monotonic: 5000,
    samples: [] as readonly Sample[],
    snapshot: snapshotOf([]),
    settings: { ...settings, ...options.settings },
    shown: null as AlertsState | null,
    publications: 0,
    urgentWrites: 0,
  }
  let value: () => unknown = () => options.persisted
  const evaluate = createEvaluator({
    read: () => own.snapshot,
    publish: alerts => {
      own.shown = alerts
      own.publications += 1
    },
    samples: () => own.samples,
    settings: () => own.settings,
    persistedState: {
      read: () => options.persisted,
      write: (next, changed) => {
        value = next
        if (changed) own.urgentWrites += 1
      },
    },
    clock: {
      now: () => own.wall * 1000,
      monotonic: () => own.monotonic * 1000,
      sleep: () => Promise.resolve(),
    },
    log: silentLog,
    ...(options.forMultiplier === undefined
      ? {}
      : { forMultiplier: options.forMultiplier }),
  })
  return Object.assign(own, {
    pass: (seconds: number, samples?: readonly Sample[]) => {
      if (samples) own.samples = samples
      own.wall += seconds
      own.monotonic += seconds
      evaluate()
    },
    /** Returns the persisted state after a JSON round trip. */
    written: () => JSON.parse(JSON.stringify(value() ?? null)) as unknown,
    list: (state: Alert['state']) =>
      (own.shown?.list ?? []).filter(one => one.state === state),
  })
}

const down = (builder = 'b1', value = 1): Sample[] => [
  { family: 'nix_builder_state', labels: { builder, state: 'down' }, value },
  { family: 'nix_builder_state', labels: { builder, state: 'unknown' }, value: 0 },
]
const unknown = (builder = 'b1'): Sample[] => [
  { family: 'nix_builder_state', labels: { builder, state: 'down' }, value: 0 },
  { family: 'nix_builder_state', labels: { builder, state: 'unknown' }, value: 1 },
]

const isDown = ({ name }: Alert) => name === 'NixBuilderDown'

void t.test(
  'evaluate returns the result of the PromQL expression of each rule',
  async t => {
    const cases = await readCases()
    t.ok(cases.length >= alertRules.length)
    for (const one of cases) {
      const b = createBench({ start: 0 })
      const last = Math.max(
        ...one.alert_rule_test.map(({ eval_time }) => secondsOf(eval_time)),
      )
      b.wall = -60
      for (let second = 0; second <= last; second += 60) {
        b.pass(60, samplesAt(one, second))
        for (const { eval_time, alertname, exp_alerts } of one.alert_rule_test) {
          if (secondsOf(eval_time) !== second) continue
          const ours = b.list('firing').filter(({ name }) => name === alertname)
          t.strictSame(
            ours.map(({ labels, annotations }) => ({ labels, annotations })),
            exp_alerts.map(({ exp_labels, exp_annotations }) => ({
              labels: { ...exp_labels, alertname, job: 'builder-monitor' },
              annotations: {
                ...exp_annotations,
                runbook_url: `http://c1:10922/runbooks/${alertname}`,
              },
            })),
            `${alertname} at ${eval_time}`,
          )
        }
      }
    }
  },
)

void t.test('templates support what descriptions use and reject the rest', async t => {
  for (const { name, description } of alertRules)
    t.notMatch(renderTemplate(description, { builder: 'b' }, 1), /\{\{/, name)
  const duration = (value: number) =>
    renderTemplate('{{ $value | humanizeDuration }}', {}, value)
  // From template_test.go of Prometheus
  t.strictSame(
    [0, 1, 60, 3600, 86_400, 86_400 + 3600, -(86_400 * 2 + 1), 899.99, 0.1].map(duration),
    [
      '0s',
      '1s',
      '1m 0s',
      '1h 0m 0s',
      '1d 0h 0m 0s',
      '1d 1h 0m 0s',
      '-2d 0h 0m 1s',
      '14m 59s',
      '100ms',
    ],
  )
  const human = (value: number) => renderTemplate('{{ $value | humanize }}', {}, value)
  t.strictSame([0, 1, 1234567, 0.12, 5e7].map(human), ['0', '1', '1.235M', '120m', '50M'])
  for (const bad of ['{{ $value | title }}', '{{ .Value }}', '{{ $labels.x | toUpper }}'])
    t.throws(() => renderTemplate(bad, {}, 1), /is not supported/)
})

void t.test(
  'labels are truncated, sanitized and distinct; fingerprints equal those of Alertmanager',
  t => {
    const long = 'x'.repeat(10_000)
    const one = normalizeLabels({ b: `${long}1`, a: 'b\u001b[31mc\ud800', empty: '' })
    const two = normalizeLabels({ b: `${long}2`, a: 'bc' })
    t.same(Object.keys(one), ['a', 'b'])
    t.equal(one['a'], 'bc')
    t.ok(Buffer.byteLength(one['b'] ?? '') <= 1024)
    t.not(computeFingerprint(one), computeFingerprint(two))
    // Computed by a real Alertmanager 0.25
    t.equal(
      computeFingerprint({
        alertname: 'NixBuilderDown',
        builder: 'demo-flaky',
        instance: 'vm:19922',
        job: 'builder-monitor',
        severity: 'warning',
        site: 'lab',
        state: 'down',
      }),
      '251ca21ecfba24ae',
    )
    t.strictSame(instanceAddress(['[::]:10922'], 'vm'), {
      instance: 'vm:10922',
      externalUrl: 'http://vm:10922',
    })
    t.equal(instanceAddress(['[::1]:1'], 'vm').externalUrl, 'http://[::1]:1')
    t.strictSame(instanceAddress(['/run/web.sock', '127.0.0.1:1'], 'vm', 'https'), {
      instance: 'vm:1',
      externalUrl: 'https://127.0.0.1:1',
    })
    t.strictSame(instanceAddress(['/run/web.sock'], 'vm'), {
      instance: 'vm',
      externalUrl: 'http://vm',
    })
    t.end()
  },
)

void t.test(
  'an alert is pending, firing, then listed as resolved for five minutes',
  async t => {
    const b = createBench()
    b.pass(5, down())
    t.match(b.list('pending'), [{ name: 'NixBuilderDown', startsAt: null }])
    t.equal(b.list('firing').length, 0)
    for (let i = 0; i < 59; i++) b.pass(5)
    t.equal(b.list('firing').length, 0, 'not before five minutes')
    b.pass(5)
    const [fires] = b.list('firing')
    t.match(fires, {
      startsAt: b.wall,
      activeAt: b.wall - 300,
      generatorUrl: 'http://c1:10922/builders/b1',
    })
    b.pass(5, down('b1', 0))
    b.pass(5)
    t.equal(b.list('firing').length, 1, 'two evaluations do not resolve it')
    b.pass(5)
    t.equal(b.list('firing').length, 0)
    t.match(b.list('resolved'), [{ startsAt: fires?.startsAt, endsAt: b.wall }])
    b.pass(300)
    t.equal(b.list('resolved').length, 1)
    b.pass(5)
    t.equal(b.list('resolved').length, 0)
  },
)

void t.test('keeps an alert through a gap of two evaluations', async t => {
  const b = createBench()
  b.pass(5, down())
  b.pass(290)
  b.pass(5, [])
  b.pass(5, down())
  const [alert] = b.list('firing')
  t.equal(alert?.activeAt, b.wall - 300)
  b.pass(5, [])
  b.pass(5, [])
  b.pass(5, down())
  t.equal(b.list('firing')[0]?.startsAt, alert?.startsAt)
  t.equal(b.list('resolved').length, 0)
})

void t.test('starts and resolves nothing while the self-check fails', async t => {
  const b = createBench()
  b.pass(5, down())
  b.pass(300)
  const monitor = { ...b.snapshot.monitor, selfCheckFailed: true }
  const previous = b.snapshot
  b.snapshot = { ...b.snapshot, monitor }
  for (let i = 0; i < 20; i++) b.pass(5, down('b2'))
  t.match(b.list('firing'), [{ labels: { builder: 'b1' } }])
  t.equal(b.list('pending').length, 0)
  b.snapshot = previous
  for (let i = 0; i < 3; i++) b.pass(5)
  t.match(b.list('pending'), [{ labels: { builder: 'b2' } }])
  t.equal(b.list('firing').length, 0)
})

void t.test('keeps restored alerts firing until there is fresh data', async t => {
  const first = createBench()
  first.pass(5, down())
  first.pass(300)
  first.pass(5, [...down(), ...down('b2')])
  first.pass(200)
  const before = first.list('firing')[0]
  t.equal(first.list('pending')[0]?.labels['builder'], 'b2')

  const b = createBench({ start: first.wall + 60, persisted: first.written() })
  b.snapshot = { ...b.snapshot, monitor: { ...b.snapshot.monitor, ready: false } }
  for (let i = 0; i < 10; i++) b.pass(5, [])
  t.equal(b.list('firing')[0]?.startsAt, before?.startsAt, 'not ready')
  b.snapshot = { ...b.snapshot, monitor: { ...b.snapshot.monitor, ready: true } }
  for (let i = 0; i < 10; i++) b.pass(5, [...unknown(), ...unknown('b2')])
  t.equal(b.list('firing').length, 1, 'ready, but not known yet')
  t.match(b.list('pending').filter(isDown), [{ labels: { builder: 'b2' } }])
  b.pass(5, [...down(), ...down('b2')])
  t.strictSame(
    b.list('firing').map(({ startsAt, labels }) => [startsAt, labels['builder']]),
    [
      [before?.startsAt, 'b1'],
      [b.wall, 'b2'],
    ],
    'the first alert is the same, the second is firing after five minutes',
  )
  for (let i = 0; i < 3; i++) b.pass(5, [...down('b1', 0), ...down('b2')])
  t.match(b.list('resolved'), [{ startsAt: before?.startsAt }])

  const lost = createBench({ persisted: first.written() })
  for (let i = 0; i < 3; i++) lost.pass(5, [])
  t.equal(lost.list('firing').length, 0, 'a removed builder resolves its alert')
  const silent = createBench({ persisted: first.written() })
  silent.pass(890, unknown())
  t.equal(silent.list('firing').length, 1)
  for (let i = 0; i < 5; i++) silent.pass(5)
  t.equal(silent.list('firing').length, 0, 'resolves after 15 minutes without data')
})

void t.test('resolves nothing for a missing measurement after a restart', async t => {
  const full = (value: number): Sample[] => [
    {
      family: 'nix_builder_state',
      labels: { builder: 'b1', state: 'unknown' },
      value: 0,
    },
    ...(Number.isNaN(value)
      ? []
      : [
          {
            family: 'nix_builder_filesystem_available_bytes',
            labels: { builder: 'b1', filesystem: 'store' },
            value,
          },
        ]),
  ]
  const first = createBench()
  first.pass(5, full(1))
  first.pass(600)
  t.equal(first.list('firing').length, 1)
  const b = createBench({ persisted: first.written() })
  for (let i = 0; i < 10; i++) b.pass(5, full(NaN))
  t.equal(b.list('firing').length, 1)
  for (let i = 0; i < 3; i++) b.pass(5, full(2 ** 40))
  t.equal(b.list('firing').length, 0)
})

void t.test('accepts any persisted JSON', async t => {
  for (const persisted of [
    null,
    1,
    'x',
    [],
    { alerts: 1 },
    { alerts: { active: [1, {}] } },
  ])
    t.doesNotThrow(() => createBench({ persisted }).pass(5, down()))
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (alerts, increases) => {
      createBench({ persisted: { alerts, increases } }).pass(5, down())
    }),
    { numRuns: 200 },
  )
})

void t.test('starts and resolves nothing when the wall clock jumps', async t => {
  for (const jump of [86_400, -86_400, 1e9]) {
    const b = createBench()
    const verified: Sample[] = [
      ...down('b1'),
      {
        family: 'builder_monitor_probe_interval_seconds',
        labels: { probe: 'canary' },
        value: 1800,
      },
      {
        family: 'nix_builder_probe_success_timestamp_seconds',
        labels: { builder: 'b2', probe: 'canary' },
        value: b.wall,
      },
    ]
    b.pass(5, verified)
    b.pass(200)
    b.wall += jump
    for (let i = 0; i < 18; i++) b.pass(5)
    t.equal(b.list('firing').length, 0, `${jump}: 290 s are no five minutes`)
    b.pass(10)
    t.match(b.list('firing'), [{ labels: { builder: 'b1' } }], `${jump}: 300 s are`)
    for (let i = 0; i < 100; i++) b.pass(10)
    t.equal(b.list('firing').length, 1, `${jump}: no builder becomes unverified`)
    t.equal(b.list('resolved').length, 0)
  }
})

void t.test('applies changed settings', async t => {
  const b = createBench({ forMultiplier: 0.01 })
  b.pass(5, down())
  b.pass(5)
  const [before] = b.list('firing')
  b.settings = { ...b.settings, labels: { site: 'x' }, instance: 'other' }
  b.pass(5)
  t.match(b.list('firing'), [
    { startsAt: before?.startsAt, labels: { site: 'x', instance: 'other' } },
  ])
  t.match(b.list('resolved'), [{ labels: { instance: 'c1' } }])
  b.settings = { ...b.settings, disabledAlerts: ['NixBuilderDown'] }
  for (let i = 0; i < 3; i++) b.pass(5)
  t.equal(b.list('firing').length, 0)
  b.settings = { ...b.settings, enable: false }
  b.pass(5)
  t.equal(b.shown, null)
})

void t.test(
  'counts OOM kills over an hour through restarts of builder and monitor',
  async t => {
    const kills = (value: number): Sample[] => [
      {
        family: 'nix_builder_daemon_oom_kills_total',
        labels: { builder: 'b1' },
        value,
      },
    ]
    const b = createBench()
    b.pass(5, kills(10))
    b.pass(600, kills(11))
    b.pass(600, kills(12))
    t.equal(b.list('firing').length, 0)
    const after = createBench({ persisted: b.written(), start: b.wall })
    after.pass(60, kills(1))
    t.match(after.list('firing'), [{ annotations: { description: /^3 processes/ } }])
  },
)

void t.test('resolves only alerts that fired, for any measurements', async () => {
  const event = fc.record({
    seconds: fc.integer({ min: 1, max: 400 }),
    state: fc.constantFrom('down', 'up', 'missing', 'unknown'),
    selfCheckFailed: fc.boolean(),
    restart: fc.integer({ min: 0, max: 9 }).map(n => n === 0),
    jump: fc.constantFrom(0, 0, 0, 7200, -7200),
  })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), events => {
      let b = createBench()
      let firing: Alert | undefined
      for (const { seconds, state, selfCheckFailed, restart, jump } of events) {
        if (restart) b = createBench({ start: b.wall, persisted: b.written() })
        b.wall += jump
        b.snapshot = {
          ...b.snapshot,
          monitor: { ...b.snapshot.monitor, selfCheckFailed },
        }
        b.pass(
          seconds,
          { down: down(), up: down('b1', 0), missing: [], unknown: unknown() }[state],
        )
        const now = b.list('firing').find(({ name }) => name === 'NixBuilderDown')
        const ended = b.list('resolved').find(({ name }) => name === 'NixBuilderDown')
        if (firing && !now && ended?.startsAt !== firing.startsAt)
          throw new Error('it ended without a resolved alert')
        if (firing && now && firing.startsAt !== now.startsAt)
          throw new Error('it began twice')
        if (!firing && ended && ended.startsAt === null) throw new Error('never began')
        if (selfCheckFailed && !restart && Boolean(firing) !== Boolean(now))
          throw new Error('a change while the self-check fails')
        firing = now
      }
    }),
    { numRuns: 300 },
  )
})

t.test(
  'alerts of builders neither start nor resolve while the client is not ready',
  async t => {
    const b = createBench()
    const ready = (value: number): Sample => ({
      family: 'nix_client_ready',
      labels: { check: 'network' },
      value,
    })
    const state = (builder: string, state: string): Sample => ({
      family: 'nix_builder_state',
      labels: { builder, state },
      value: 1,
    })
    const names = () =>
      b.list('firing').map(({ name, labels }) => [name, labels['builder']])
    b.pass(0, [ready(1), state('b1', 'down'), state('b2', 'healthy')])
    b.pass(300)
    t.same(names(), [['NixBuilderDown', 'b1']])
    const offline = [ready(0), state('b1', 'unknown'), state('b2', 'unknown')]
    b.pass(5, offline)
    for (let i = 0; i < 400; i++) b.pass(5)
    t.same(names().toSorted(), [
      ['NixBuilderDown', 'b1'],
      ['NixClientNotReady', undefined],
    ])
    b.pass(5, [ready(0), state('b1', 'unknown'), state('b2', 'down')])
    for (let i = 0; i < 100; i++) b.pass(5)
    t.notOk(
      names().some(([, builder]) => builder === 'b2'),
      'no alert starts for another builder',
    )
    b.pass(5, [ready(1), state('b1', 'healthy'), state('b2', 'healthy')])
    for (let i = 0; i < 3; i++) b.pass(5)
    t.same(names(), [])
  },
)

t.test('Alertmanager inhibits the same alerts', async t => {
  const example = await readFile(
    new URL('../../prometheus/examples/alertmanager-inhibit.yml', import.meta.url),
    'utf8',
  )
  const pattern = /alertname =~ "([^"]+)"/.exec(example)?.[1] ?? ''
  t.same(
    alertRules.filter(({ name }) => new RegExp(`^(?:${pattern})$`).test(name)),
    alertRules.filter(rule => rule.isInhibitedByClient),
  )
})
