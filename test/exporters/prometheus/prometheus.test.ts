/** Output of /metrics: names, when a family has samples, and both text formats. */
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { families } from '../../../src/exporters/prometheus/families.ts'
import { createDeliveryMetrics } from '../../../src/alerts/delivery/delivery-metrics.ts'
import { metricsDoc } from '../../../scripts/generate/metrics-doc.ts'
import { createPrometheusExporter } from '../../../src/exporters/prometheus/prometheus.ts'
import { kindState } from '../../../src/diagnosis/kinds/index.ts'
import {
  clientChecks,
  type ClientState,
  probeNames,
  type CanaryRun,
  type Result,
  type Sample,
  type Snapshot,
  kindNames,
} from '../../../src/model/index.ts'
import {
  alertOf,
  allOk,
  builderOf,
  canaryValue,
  diskValue,
  loginValue,
  memoryValue,
  now,
  ok,
  recordOf,
  samplesOf,
  serve,
  snapshotOf,
  stateOf,
  systemValue,
  trustValue,
  viewOf,
} from '../fixture.ts'

/** The published contract: family, type, labels. A change here breaks the dashboards and alerts of other people. */
const contract = `
nix_builder_info gauge builder scheme host nix_version advisory
nix_builder_configured_slots gauge builder
nix_builder_configured_speed_factor gauge builder
nix_builder_lint_findings gauge builder
nix_builder_up gauge builder
nix_builder_state gauge builder state
nix_builder_cause gauge builder kind side
nix_builder_state_change_timestamp_seconds gauge builder
nix_builder_state_changes_total counter builder
nix_builder_flapping gauge builder
nix_builder_drained gauge builder
nix_builder_quarantined gauge builder
nix_builder_slots_withheld gauge builder
nix_builder_probe_attempts_total counter builder probe
nix_builder_probe_failures_total counter builder probe
nix_builder_probe_duration_seconds gauge builder probe
nix_builder_probe_run_timestamp_seconds gauge builder probe
nix_builder_probe_success_timestamp_seconds gauge builder probe
nix_builder_ssh_phase_duration_seconds gauge builder phase
nix_builder_canary_available gauge builder system
nix_builder_trusted gauge builder
nix_builder_host_key_pinned gauge builder
nix_builder_credential_expiry_timestamp_seconds gauge builder
nix_builder_clock_offset_seconds gauge builder
nix_builder_filesystem_available_bytes gauge builder filesystem
nix_builder_filesystem_available_inodes gauge builder filesystem
nix_builder_min_free_bytes gauge builder
nix_builder_orphaned_session_oldest_seconds gauge builder
nix_builder_orphaned_sessions gauge builder
nix_builder_round_trip_seconds gauge builder
nix_builder_sessions gauge builder
nix_builder_substituter_up gauge builder substituter
nix_builder_throughput_bytes_per_second gauge builder direction
nix_builder_max_free_bytes gauge builder
nix_builder_below_min_free_since_timestamp_seconds gauge builder
nix_builder_memory_available_bytes gauge builder
nix_builder_memory_size_bytes gauge builder
nix_builder_memory_stalled_seconds_total counter builder
nix_builder_daemon_memory_bytes gauge builder
nix_builder_daemon_memory_limit_bytes gauge builder
nix_builder_daemon_oom_kills_total counter builder
nix_builder_boot_timestamp_seconds gauge builder
nix_builder_build_users_held gauge builder
nix_builder_gc_lock_held_since_timestamp_seconds gauge builder
nix_builder_slots_held gauge builder
nix_builder_slot_oldest_acquired_timestamp_seconds gauge builder
nix_builder_upload_lock_waiters gauge builder
nix_builders_available gauge system feature
nix_client_ready gauge check
nix_client_wait_seconds histogram
builder_monitor_build_info gauge version
builder_monitor_probe_interval_seconds gauge probe
builder_monitor_schedule_delay_seconds histogram
builder_monitor_failures_total counter kind
builder_monitor_self_check_failed gauge
builder_monitor_config_last_reload_successful gauge
builder_monitor_state_file_ok gauge
builder_monitor_quarantines_total counter kind
builder_monitor_quarantine_released gauge reason
builder_monitor_notifications_failed_total counter receiver
builder_monitor_alerts gauge alertname state
builder_monitor_notifications_total counter receiver
builder_monitor_notification_errors_total counter receiver
builder_monitor_notifications_queue_length gauge receiver`
  .trim()
  .split('\n')

const everything = () =>
  stateOf(
    builderOf('b1'),
    {
      ...allOk(),
      disk: recordOf('disk', {
        status: 'ok',
        value: { ...diskValue, belowMinFreeSince: now - 60 },
      }),
    },
    { state: 'degraded', cause: { probe: 'disk', kind: 'below_min_free', params: {} } },
  )

interface Parsed {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly family: string
}

/** A strict parser of the text format. Throws on invalid text. */
const parseText = (body: string) => {
  const lines: Parsed[] = []
  const types = new Map<string, string>()
  const names = new Set<string>()
  let family = ''
  for (const line of body.split('\n')) {
    if (line === '' || line === '# EOF') continue
    const header = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line)
    if (header) {
      const [, what, name = '', text = ''] = header
      if (what === 'HELP') {
        if (names.has(name)) throw new Error(`a second block of ${name}`)
        names.add(name)
        family = name
      } else if (name !== family) throw new Error(`TYPE of ${name} inside ${family}`)
      else types.set(name, text)
      continue
    }
    const found = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line)
    if (!found) throw new Error(`no line of any format: ${line}`)
    const [, name = '', inner = '', value = ''] = found
    if (!name.startsWith(family)) throw new Error(`${name} stands in ${family}`)
    const labels: Record<string, string> = {}
    let rest = inner
    while (rest) {
      const one = /^([a-z_]+)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/.exec(rest)
      if (!one) throw new Error(`bad labels: ${line}`)
      labels[one[1]!] = one[2]!.replace(/\\(.)/g, (_, c) =>
        c === 'n' ? '\n' : String(c),
      )
      rest = rest.slice(one[0].length)
    }
    lines.push({ name, labels, value: Number(value.replace('Inf', 'Infinity')), family })
  }
  return {
    lines,
    types,
    /** Values of a family whose labels include the given ones. */
    values: (name: string, labels: Record<string, string> = {}) =>
      lines
        .filter(
          line =>
            line.name === name &&
            Object.entries(labels).every(([key, value]) => line.labels[key] === value),
        )
        .map(line => line.value),
  }
}

const start = async (
  t: Test,
  first: Snapshot,
  time = { now },
  extraSamples: () => readonly Sample[] = () => [],
) => {
  const view = viewOf(first)
  const exporter = createPrometheusExporter({
    version: '1.2.3',
    collectSamples: samplesOf,
    now: () => time.now,
    extraSamples,
  })
  const stop = exporter.start?.(view)
  const server = await serve(view, exporter)
  t.teardown(async () => {
    stop?.()
    await server.close()
  })
  return {
    view,
    exporter,
    time,
    get: server.get,
    scrape: async () => parseText((await server.get('/metrics')).body),
  }
}

t.test('names, types and labels match the contract', async t => {
  const here = families
    .filter(({ group }) => group !== 'process')
    .map(({ name, type, labels }) => [name, type, ...labels].join(' '))
  t.strictSame([...here].sort(), [...contract].sort())

  const deliveryMetrics = createDeliveryMetrics()
  deliveryMetrics.addReceiver('hook')
  const { scrape } = await start(
    t,
    snapshotOf([everything(), stateOf(builderOf('b2'))], {
      alerts: { externalUrl: 'http://here', list: [alertOf('b1')] },
    }),
    { now },
    deliveryMetrics.samples,
  )
  const { lines, types } = await scrape()
  for (const { name, labels, family } of lines) {
    const row = families.find(one => one.name === family)
    if (!row) t.fail(`${family} is in no table`)
    else if (row.type === 'histogram') t.match(name, /_(bucket|sum|count)$/)
    else
      t.strictSame(
        Object.keys(labels).sort(),
        [...row.labels].sort(),
        `labels of ${name}`,
      )
  }
  const printed = new Set(lines.map(({ family }) => family))
  t.strictSame(
    families.map(({ name }) => name).filter(name => !printed.has(name)),
    [],
    'a complete fleet has samples of every family',
  )
  t.strictSame(
    families.filter(({ name, type }) => types.get(name) !== type),
    [],
  )
  const perBuilder = lines.filter(({ labels }) => labels['builder'] === 'b1').length
  t.ok(perBuilder >= 60 && perBuilder <= 120, `${perBuilder} lines for a builder`)
  const keys = lines.map(({ name, labels }) => name + JSON.stringify(labels))
  t.equal(new Set(keys).size, keys.length, 'no duplicate series')
})

t.test('a quarantine counts only while builds are really kept away', async t => {
  const quarantine = {
    phase: 'quarantined',
    since: now - 60,
    kind: 'tcp_timeout',
    notBefore: now,
    count: 1,
    retainedBy: null,
  } as const
  const held = { held: 7, running: 1, total: 8 }
  const fleet = {
    mode: 'on',
    released: null,
    unavailable: null,
    countByKind: { tcp_timeout: 2, slow_link: 1 },
  } as const
  const free = { held: 0, running: 0, total: 8 }
  const states = (change: object) =>
    [stateOf(builderOf('b1')), { ...stateOf(builderOf('b2')), ...change }] as const
  const released = { panic: 0, holder: 0, self_check: 0, floor: 0, share: 0 }
  const cases = [
    ['in service', {}, fleet, [0, 0, 0], {}],
    ['held', { quarantine, hold: held }, fleet, [0, 1, 7], {}],
    [
      'retained',
      { quarantine: { ...quarantine, retainedBy: 'floor' } },
      fleet,
      [0, 0, 0],
      { floor: 1 },
    ],
    ['dry run', { quarantine }, { ...fleet, mode: 'dryRun' }, [0, 0, 0], {}],
    [
      'dry run, panic',
      { quarantine },
      { ...fleet, mode: 'dryRun', released: 'panic' },
      [0, 0, 0],
      {},
    ],
    ['panic', { quarantine }, { ...fleet, released: 'panic' }, [0, 0, 0], { panic: 1 }],
    [
      'nothing holds slots',
      { quarantine, hold: free },
      { ...fleet, released: 'holder', unavailable: 'not running' },
      [0, 0, 0],
      { holder: 1 },
    ],
    [
      'probation',
      { quarantine: { ...quarantine, phase: 'probation' } },
      fleet,
      [0, 0, 0],
      {},
    ],
    [
      'drained',
      { hold: held, health: { ...stateOf(builderOf('b2')).health, state: 'drained' } },
      fleet,
      [1, 0, 7],
      {},
    ],
  ] as const
  for (const [
    name,
    change,
    quarantine,
    [drained, quarantined, withheld],
    reasons,
  ] of cases) {
    const { scrape } = await start(t, snapshotOf(states(change), { quarantine }))
    const { values, lines } = await scrape()
    t.strictSame(values('nix_builder_drained'), [0, drained], name)
    t.strictSame(values('nix_builder_quarantined'), [0, quarantined], name)
    t.strictSame(values('nix_builder_slots_withheld'), [0, withheld], name)
    t.strictSame(
      Object.fromEntries(
        lines
          .filter(line => line.name === 'builder_monitor_quarantine_released')
          .map(({ labels, value }) => [labels['reason'], value]),
      ),
      { ...released, ...reasons },
      name,
    )
    const count = (kind: string) => values('builder_monitor_quarantines_total', { kind })
    t.strictSame(count('tcp_timeout'), [2])
    t.strictSame(count('slow_link'), [1], 'a kind that was counted')
    t.strictSame(count('tcp_refused'), [0], 'present from the start')
    t.strictSame(count('ssh_missing'), [], 'on the side of this machine')
  }
})

t.test('docs/metrics.md is up to date (else: npm run docs)', async t => {
  const file = new URL('../../../docs/metrics.md', import.meta.url)
  t.equal(await readFile(file, 'utf8'), metricsDoc())
})

t.test('exports no measurement before the first attempt', async t => {
  const builder = builderOf('b1')
  const { scrape } = await start(
    t,
    snapshotOf([stateOf(builder, {}, { state: 'unknown', changes: 0, verified: false })]),
  )
  const { values, lines } = await scrape()
  t.strictSame(
    values('nix_builder_up'),
    [],
    'nix_builder_up appears with the first attempt',
  )
  t.equal(values('nix_builder_state').length, 6, 'every state has a line')
  t.strictSame(values('nix_builder_state', { state: 'unknown' }), [1])
  t.strictSame(values('nix_builder_state', { state: 'healthy' }), [0])
  for (const family of [
    'attempts_total',
    'failures_total',
    'run_timestamp_seconds',
    'success_timestamp_seconds',
  ])
    t.strictSame(
      values(`nix_builder_probe_${family}`),
      probeNames.map(() => 0),
      family,
    )
  const measured: readonly string[] = families
    .filter(({ presence }) => presence === 'fresh')
    .map(({ name }) => name)
  t.strictSame(
    lines.filter(({ name }) => measured.includes(name)),
    [],
  )
  t.strictSame(
    values('nix_builders_available', { system: 'x86_64-linux', feature: '' }),
    [0],
  )
})

t.test('up is 1 when the newest fresh login reached the Nix store', async t => {
  const failed = { status: 'failed', kind: 'tcp_refused', params: {} } as const
  const busy = { status: 'busy', kind: 'sshd_throttled', params: {} } as const
  const skipped = { status: 'skipped', kind: 'not_ssh_store', params: {} } as const
  const cases = [
    ['both good', { login: ok('login'), trust: ok('trust') }, [1]],
    [
      'reachable, but not trusted',
      {
        login: ok('login'),
        trust: recordOf('trust', {
          status: 'degraded',
          kind: 'not_trusted',
          params: {},
          value: { ...trustValue, trusted: false },
        }),
      },
      [1],
    ],
    ['login failed', { login: recordOf('login', failed), trust: ok('trust') }, [0]],
    [
      'nix does not answer',
      { login: ok('login'), trust: recordOf('trust', failed) },
      [0],
    ],
    ['trust was not asked yet', { login: ok('login') }, [0]],
    [
      'a busy sshd keeps the previous value',
      {
        login: recordOf('login', busy, now - 5, ok('login', now - 125)),
        trust: ok('trust'),
      },
      [1],
    ],
    ['never let in', { login: recordOf('login', busy) }, [0]],
    ['no login exists for it', { login: recordOf('login', skipped) }, []],
  ] as const
  for (const [name, probes, expected] of cases) {
    const { scrape } = await start(t, snapshotOf([stateOf(builderOf('b'), probes)]))
    t.strictSame((await scrape()).values('nix_builder_up'), expected, name)
  }
})

t.test(
  'a down builder keeps its counters and loses only expired measurements',
  async t => {
    const probes = {
      ...allOk(now - 10),
      login: recordOf('login', {
        status: 'failed',
        kind: 'tcp_refused',
        params: {},
        value: { ...loginValue, phases: { dns: 0.5 }, hostKey: null },
      }),
      memory: ok('memory', now - 80),
    }
    const state = stateOf(builderOf('b'), probes, {
      state: 'down',
      cause: { probe: 'login', kind: 'tcp_refused', params: {} },
    })
    const { scrape, time } = await start(t, snapshotOf([state]))
    const first = await scrape()
    t.strictSame(
      first.values('nix_builder_cause', { kind: 'tcp_refused', side: 'remote' }),
      [1],
    )
    t.strictSame(
      first.values('nix_builder_probe_attempts_total', { probe: 'login' }),
      [42],
    )
    t.strictSame(
      first.values('nix_builder_probe_failures_total', { probe: 'login' }),
      [4],
    )
    t.strictSame(
      first.values('nix_builder_probe_success_timestamp_seconds', { probe: 'login' }),
      [0],
    )
    t.strictSame(first.values('nix_builder_ssh_phase_duration_seconds'), [0.5])
    t.strictSame(first.values('nix_builder_memory_size_bytes'), [memoryValue.sizeBytes])

    // The same state, three intervals of 30 s after the measurement
    time.now = now + 10
    const edge = await scrape()
    t.strictSame(edge.values('nix_builder_memory_size_bytes'), [memoryValue.sizeBytes])
    time.now = now + 11
    const later = await scrape()
    t.strictSame(
      later.values('nix_builder_memory_size_bytes'),
      [],
      'the memory measurement expired',
    )
    t.equal(later.values('nix_builder_filesystem_available_bytes').length, 3)
    time.now = now + 81
    const disk = await scrape()
    t.strictSame(disk.values('nix_builder_filesystem_available_bytes'), [])
    t.strictSame(disk.values('nix_builder_trusted'), [1], 'trust has a longer interval')
    time.now = now + 100_000
    const last = await scrape()
    const names = new Set(last.lines.filter(l => l.labels['builder']).map(l => l.name))
    t.strictSame(
      [...names].sort(),
      families
        .filter(({ group, presence }) => group === 'builder' && presence !== 'fresh')
        .map(({ name }) => name)
        .sort(),
      'everything but measurements stays',
    )
    t.strictSame(last.values('nix_builder_up'), [0])
    time.now = now
    t.strictSame(
      (await scrape()).values('nix_builder_memory_size_bytes'),
      [memoryValue.sizeBytes],
      'measurements return after the clock was set back',
    )
  },
)

t.test('shows new results and drops removed builders at the next scrape', async t => {
  const { scrape, view } = await start(
    t,
    snapshotOf([stateOf(builderOf('b1')), stateOf(builderOf('b2'))]),
  )
  const bytes = async () =>
    (await scrape()).values('nix_builder_filesystem_available_bytes', {
      builder: 'b1',
      filesystem: 'store',
    })
  t.strictSame(await bytes(), [diskValue.store.availableBytes])
  t.strictSame(
    await bytes(),
    [diskValue.store.availableBytes],
    'the cached response is the same',
  )
  const store = { ...diskValue.store, availableBytes: 12_345 }
  const disk = recordOf('disk', { status: 'ok', value: { ...diskValue, store } })
  view.set(snapshotOf([stateOf(builderOf('b1'), { ...allOk(), disk })]))
  t.strictSame(await bytes(), [12_345])
  const { lines } = await scrape()
  t.strictSame(
    lines.filter(({ labels }) => labels['builder'] === 'b2'),
    [],
  )
})

t.test('applies a shorter interval at once', async t => {
  const first = snapshotOf([stateOf(builderOf('b'), allOk(now - 60))])
  const { scrape, view } = await start(t, first)
  t.equal((await scrape()).values('nix_builder_memory_size_bytes').length, 1)
  const intervals = { ...first.monitor.intervals, memory: 5 }
  view.set({ ...first, monitor: { ...first.monitor, intervals } })
  t.equal((await scrape()).values('nix_builder_memory_size_bytes').length, 0)
})

t.test('prerenders new results while there are scrapes', async t => {
  let calls = 0
  const view = viewOf(snapshotOf([stateOf(builderOf('b'))]))
  const exporter = createPrometheusExporter({
    version: '1',
    now: () => now,
    collectSamples: (...given) => {
      calls++
      return samplesOf(...given)
    },
  })
  const stop = exporter.start?.(view)
  const server = await serve(view, exporter)
  t.teardown(() => server.close())
  const change = async () => {
    view.set(snapshotOf([stateOf(builderOf('b'))]))
    await new Promise(resolve => setTimeout(resolve, 1300))
  }
  await change()
  t.equal(calls, 0, 'no scrape yet')
  await server.get('/metrics')
  const first = calls
  t.ok(first > 0)
  await change()
  t.equal(calls, 2 * first, 'the response is rendered before the scrape')
  await server.get('/metrics')
  t.equal(calls, 2 * first, 'the scrape uses the rendered response')
  stop?.()
  await change()
  t.equal(calls, 2 * first, 'nothing is rendered after stop')
})

t.test('exports whether the host key is verified', async t => {
  const loginBy = (verifiedBy: 'pinned' | 'known_hosts' | 'ca' | 'none') => ({
    ...loginValue,
    hostKey: { ...loginValue.hostKey!, verifiedBy },
  })
  const cases = [
    [loginBy('pinned'), [1]],
    [loginBy('known_hosts'), [1]],
    [loginBy('ca'), [1]],
    [loginBy('none'), [0]],
    [{ ...loginValue, hostKey: null }, []],
    [{ ...loginValue, hostKey: null, transport: 'openssh' as const }, [1]],
  ] as const
  for (const [value, expected] of cases) {
    const login = recordOf('login', { status: 'ok', value })
    const { scrape } = await start(t, snapshotOf([stateOf(builderOf('b'), { login })]))
    t.strictSame((await scrape()).values('nix_builder_host_key_pinned'), expected)
  }
})

t.test('exports the earliest certificate expiry, also of a failed login', async t => {
  const ends = (validUntil: number | null) =>
    ({ role: 'user', source: '/k-cert.pub', validFrom: null, validUntil }) as const
  const exported = async (ends: (typeof loginValue)['certificates'], isUp = true) => {
    const value = { ...loginValue, certificates: ends }
    const params = {}
    const login = recordOf(
      'login',
      isUp
        ? { status: 'ok', value }
        : { status: 'failed', kind: 'certificate_expired', params, value },
    )
    const { scrape } = await start(t, snapshotOf([stateOf(builderOf('b'), { login })]))
    return (await scrape()).values('nix_builder_credential_expiry_timestamp_seconds')
  }
  t.strictSame(await exported([]), [])
  t.strictSame(
    await exported([ends(null)]),
    [],
    'no sample for a certificate without an end',
  )
  t.strictSame(await exported([ends(null), ends(now + 90), ends(now + 80)]), [now + 80])
  t.strictSame(await exported([ends(now - 5)], false), [now - 5])
})

t.test('exports 0 for a failed canary, also without a build', async t => {
  const builder = builderOf('b', { systems: ['x86_64-linux', 'i686-linux'] })
  const before = ok('canary', now - 100)
  const run: CanaryRun = { ...canaryValue.runs[0]!, outcome: 'failed' }
  const failed = { status: 'failed', kind: 'build_failed', params: {} } as const
  const available = async (outcome: Parameters<typeof recordOf<'canary'>>[1]) => {
    const canary = recordOf('canary', outcome, now - 10, before)
    const { scrape } = await start(t, snapshotOf([stateOf(builder, { canary })]))
    return (await scrape()).values('nix_builder_canary_available')
  }
  t.strictSame(await available({ ...failed, value: { runs: [run] } }), [0])
  t.strictSame(await available(failed), [0, 0])
  t.strictSame(
    await available({ status: 'busy', kind: 'slots_full', params: {} }),
    [1],
    'a busy result keeps the previous value',
  )
})

t.test('counts verified builders by system and feature', async t => {
  const runs = (...systems: string[]) => ({
    canary: recordOf('canary', {
      status: 'ok',
      value: { runs: systems.map(system => ({ ...canaryValue.runs[0]!, system })) },
    }),
  })
  const big = builderOf('big', { systems: ['x86_64-linux', 'aarch64-linux'] })
  const own = builderOf('own', { supportedFeatures: [], mandatoryFeatures: ['gpu'] })
  const { scrape } = await start(
    t,
    snapshotOf([
      stateOf(big, { ...allOk(), ...runs('x86_64-linux') }),
      stateOf(builderOf('lacks'), {
        ...allOk(),
        system: recordOf('system', {
          status: 'degraded',
          kind: 'feature_missing',
          params: {},
          value: { ...systemValue, missingFeatures: ['kvm'] },
        }),
      }),
      stateOf(builderOf('down'), allOk(), { state: 'down' }),
      stateOf(builderOf('old'), { ...allOk(), canary: ok('canary', now - 5401) }),
      stateOf(builderOf('unproven'), { ...allOk(), canary: undefined! }),
      stateOf(own),
    ]),
  )
  const { values, lines } = await scrape()
  const count = (system: string, feature: string) =>
    values('nix_builders_available', { system, feature })
  t.strictSame(count('x86_64-linux', ''), [2])
  t.strictSame(count('x86_64-linux', 'kvm'), [1], 'only one of them really has kvm')
  t.strictSame(count('x86_64-linux', 'big-parallel'), [2])
  t.strictSame(
    count('x86_64-linux', 'gpu'),
    [1],
    'a mandatory feature counts only for its own label',
  )
  t.strictSame(
    count('aarch64-linux', ''),
    [0],
    'advertised but not verified counts as zero',
  )
  t.strictSame(count('aarch64-linux', 'gpu'), [], 'not advertised')
  t.equal(lines.filter(l => l.name === 'nix_builders_available').length, 7)
})

t.test('a fatal builders list makes this machine not ready', async t => {
  const problem = { file: '/etc/nix/machines', line: 3, message: 'bad' }
  const ready = async (isFatal: boolean) => {
    const problems = [{ ...problem, isFatal }]
    const { scrape } = await start(t, snapshotOf([], { problems }))
    return (await scrape()).values('nix_client_ready', { check: 'config' })
  }
  t.strictSame(await ready(true), [0])
  t.strictSame(await ready(false), [1])
})

t.test('exports every failure kind from the start', async t => {
  const { scrape } = await start(t, snapshotOf([]))
  const { values } = await scrape()
  for (const kind of kindNames) {
    const expected = kind === 'tcp_refused' ? [4] : kindState(kind) === 'info' ? [] : [0]
    t.strictSame(values('builder_monitor_failures_total', { kind }), expected, kind)
  }
})

t.test('observes each canary once in the histogram', async t => {
  const first = stateOf(builderOf('b'))
  const { scrape, view, exporter } = await start(t, snapshotOf([first]))
  const count = async () => (await scrape()).values('nix_client_wait_seconds_count')
  t.strictSame(await count(), [1])
  const disk = ok('disk')
  view.set(snapshotOf([{ ...first, probes: { ...first.probes, disk } }]))
  t.strictSame(await count(), [1], 'another probe does not count as a canary')
  view.set(snapshotOf([{ ...first, probes: { ...first.probes, canary: ok('canary') } }]))
  t.strictSame(await count(), [2])
  t.strictSame(
    (await scrape()).values('nix_client_wait_seconds_bucket', { le: '0.5' }),
    [2],
  )
  t.strictSame(
    (await scrape()).values('nix_client_wait_seconds_bucket', { le: '0.25' }),
    [0],
  )
  exporter.observeScheduleDelay('login', 0.02)
  exporter.observeScheduleDelay('disk', 400)
  const { values } = await scrape()
  t.strictSame(
    values('builder_monitor_schedule_delay_seconds_bucket', { le: '0.05' }),
    [1],
  )
  t.strictSame(
    values('builder_monitor_schedule_delay_seconds_bucket', { le: '+Inf' }),
    [2],
  )
})

t.test('escapes and truncates remote text in labels', async t => {
  const hostile = 'x"} 1\nnix_builder_up{builder="evil"} 1\\'
  const builder = builderOf(hostile, {
    host: `${hostile}\u001b[31m${'h'.repeat(9999)}`,
    systems: [hostile],
    supportedFeatures: [hostile],
  })
  const system = recordOf('system', {
    status: 'ok',
    value: { ...systemValue, nixVersion: `2.26\n"\\\u202e${'9'.repeat(9999)}` },
  })
  const { scrape } = await start(
    t,
    snapshotOf([stateOf(builder, { ...allOk(), system })]),
  )
  const { lines, values } = await scrape()
  t.strictSame(
    values('nix_builder_up', { builder: hostile }),
    [1],
    'the name is unescaped correctly',
  )
  t.strictSame(values('nix_builder_up', { builder: 'evil' }), [])
  const info = lines.find(({ name }) => name === 'nix_builder_info')?.labels
  t.equal(info?.['host']?.length, 253)
  t.match(info?.['nix_version'], /^2\.26 "\\9+…$/)
  t.equal(info?.['nix_version']?.length, 40)
})

t.test(
  'a label names the newest advisory that applies to the Nix of a builder',
  async t => {
    const withNix = (name: string, nixVersion: string) =>
      stateOf(builderOf(name), {
        ...allOk(),
        system: recordOf('system', {
          status: 'ok',
          value: { ...systemValue, nixVersion, determinateVersion: null },
        }),
      })
    const { scrape } = await start(
      t,
      snapshotOf([withNix('old', '2.34.8'), withNix('fixed', '2.34.9')]),
    )
    const { lines } = await scrape()
    const advisories = lines
      .filter(({ name }) => name === 'nix_builder_info')
      .map(({ labels }) => [labels['builder'], labels['advisory']])
    t.strictSame(advisories, [
      ['old', 'GHSA-vh5x-56v6-4368'],
      ['fixed', ''],
    ])
  },
)

t.test('drops samples without a number or family', async t => {
  const view = viewOf(snapshotOf([stateOf(builderOf('b'))]))
  const exporter = createPrometheusExporter({
    version: '1',
    now: () => now,
    collectSamples: ({ probe }: Result) =>
      probe === 'disk'
        ? [
            {
              family: 'nix_builder_min_free_bytes',
              labels: { builder: 'b' },
              value: NaN,
            },
            { family: 'unheard_of', labels: {}, value: 1 },
            { family: 'nix_builder_max_free_bytes', labels: { builder: 'b' }, value: 7 },
          ]
        : [],
  })
  const server = await serve(view, exporter)
  t.teardown(() => server.close())
  const { values, lines } = parseText((await server.get('/metrics')).body)
  t.strictSame(values('nix_builder_min_free_bytes'), [])
  t.strictSame(values('nix_builder_max_free_bytes'), [7])
  t.notOk(lines.some(({ name }) => name === 'unheard_of'))
})

t.test('serves OpenMetrics on request', async t => {
  const { get, exporter } = await start(t, snapshotOf([everything()]))
  exporter.observeScheduleDelay('login', 0.2)
  const ask = async (accept: string) => {
    const { type, body } = await get('/metrics', { accept })
    return {
      isOpen: type?.startsWith('application/openmetrics-text') ?? false,
      type,
      body,
    }
  }
  const open = await ask(
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1',
  )
  t.equal(open.type, 'application/openmetrics-text; version=1.0.0; charset=utf-8')
  t.ok(open.body.endsWith('\n# EOF\n'))
  t.notMatch(open.body, /\n\n/, 'no empty line')
  t.match(open.body, '# TYPE nix_builder_state_changes counter\n')
  t.notMatch(open.body, /# (TYPE|HELP) \S+_total /)
  t.match(open.body, '\nnix_builder_state_changes_total{builder="b1"} 1\n')
  t.match(open.body, 'builder_monitor_schedule_delay_seconds_bucket{le="1.0"} 1\n')
  t.doesNotThrow(() => parseText(open.body))

  const plain = await ask('text/plain')
  t.equal(plain.type, 'text/plain; version=0.0.4; charset=utf-8')
  t.notMatch(plain.body, '# EOF')
  t.match(plain.body, '# TYPE nix_builder_state_changes_total counter\n')
  t.match(plain.body, 'builder_monitor_schedule_delay_seconds_bucket{le="1"} 1\n')

  t.notOk((await ask('*/*')).isOpen)
  t.notOk(
    (await ask('application/openmetrics-text;q=0')).isOpen,
    'q=0 disables OpenMetrics',
  )
  t.notOk((await ask('application/openmetrics-text;q=0.1,text/plain')).isOpen)
  t.ok((await ask('Application/OpenMetrics-Text')).isOpen, 'case does not matter')
})

t.test('exports process metrics', async t => {
  const { scrape } = await start(t, snapshotOf([]))
  await scrape()
  const { values } = await scrape()
  for (const { name, group } of families)
    // The loop delay and the system time can be 0
    if (group === 'process' && !/lag|system/.test(name))
      t.ok(values(name)[0]! > 0, `${name} is ${values(name)[0]}`)
})

t.test('serves metrics without builders', async t => {
  const { scrape } = await start(t, snapshotOf([]))
  const { values, lines } = await scrape()
  t.strictSame(values('builder_monitor_build_info', { version: '1.2.3' }), [1])
  t.strictSame(values('builder_monitor_self_check_failed'), [0])
  t.notOk(lines.some(({ name }) => name.startsWith('nix_builder_')))
})

t.test('exports this machine by check and findings by builder', async t => {
  const checks = {
    ...Object.fromEntries(clientChecks.map(name => [name, { status: 'ok' as const }])),
    ssh: { status: 'failed' as const, kind: 'ssh_missing' as const, params: {} },
    memory: { status: 'degraded' as const, kind: 'client_memory' as const, params: {} },
    trust: { status: 'skipped' as const, kind: 'client_untrusted' as const, params: {} },
  } as ClientState['checks']
  const bad = builderOf('bad', { maxJobs: 0 })
  const { scrape } = await start(
    t,
    snapshotOf([stateOf(builderOf('good'), {}), stateOf(bad, {})], {
      client: { at: now, checks },
      nix: { version: '2.34.8', system: 'x86_64-linux' },
    }),
  )
  const { values } = await scrape()
  t.same(values('nix_client_ready', { check: 'ssh' }), [0])
  t.same(values('nix_client_ready', { check: 'memory' }), [1])
  t.same(values('nix_client_ready', { check: 'config' }), [1])
  t.same(values('nix_client_ready', { check: 'trust' }), [], 'skipped')
  t.same(values('nix_builder_lint_findings', { builder: 'good' }), [0])
  t.same(values('nix_builder_lint_findings', { builder: 'bad' }), [1])
})
