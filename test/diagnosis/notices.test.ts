/** Notices, shared causes, and certificates that depend on the builder's clock. */
import t from 'tap'
import { diagnose } from '../../src/diagnosis/diagnose.ts'
import { collectNotices } from '../../src/diagnosis/notices.ts'
import { alertRules } from '../../src/alerts/rules.ts'
import { formatMessage, kindAlert, kindFixes } from '../../src/diagnosis/kinds/index.ts'
import { sharedCauses } from '../../src/diagnosis/shared-cause.ts'
import { currentHealth } from '../../src/diagnosis/health.ts'
import type {
  BuilderState,
  CertificateInfo,
  LoginValue,
  Outcome,
  Snapshot,
  SystemValue,
  Kind,
  Params,
} from '../../src/model/index.ts'
import { createHealthLog } from '../../src/exporters/health-log.ts'
import { createStore } from '../../src/state/store.ts'
import type { Log } from '../../src/log/log.ts'
import { aBuilder, aResult, intervals, ok } from '../support/builders.ts'

const now = 1_800_000_000
const certificate = (change: Partial<CertificateInfo> = {}): CertificateInfo => ({
  role: 'user',
  source: '/k-cert.pub',
  validFrom: null,
  validUntil: null,
  ...change,
})

const storeOf = () =>
  createStore({
    evaluateHealth: (state, { problems }) => ({
      health: currentHealth(state, now, problems),
      changedAt: [],
    }),
    now: () => now,
    intervals,
  })

interface Results {
  readonly builder?: Parameters<typeof aBuilder>[0]
  readonly login?: Outcome<Partial<LoginValue>>
  readonly system?: Partial<SystemValue>
  readonly trust?: Outcome
}

const statesOf = (...all: readonly Results[]): Snapshot['builders'] => {
  const builders = all.map(({ builder }, i) => aBuilder({ name: `b${i}`, ...builder }))
  const store = storeOf()
  store.setBuilders({
    source: 'nix',
    builders,
    problems: [],
    files: [],
    nix: { version: null, system: '' },
  })
  all.forEach(({ login, system, trust }, i) => {
    store.record(builders[i]!, [
      ...(login ? [aResult('login', login, now)] : []),
      ...(system ? [aResult('system', ok(system), now)] : []),
      ...(trust ? [aResult('trust', trust, now)] : []),
    ])
  })
  return store.read().builders
}
const stateOf = (results: Results): BuilderState => [...statesOf(results).values()][0]!
const notices = (results: Results, at = now) =>
  collectNotices(stateOf(results), at).map(({ kind, params }) => [kind, params['detail']])

t.test('notices a certificate that expires within three days', async t => {
  const expiring = (...inDays: (number | null)[]) => ({
    login: ok({
      certificates: inDays.map(days =>
        certificate({ validUntil: days === null ? null : now + days * 86_400 }),
      ),
    }),
  })
  t.same(notices(expiring()), [])
  t.same(notices(expiring(null, 4)), [])
  t.same(notices(expiring(4, 1)), [
    ['certificate_expires', '/k-cert.pub is valid until 2027-01-16T08:00:00Z'],
  ])
})

t.test('notices a wrong clock without a state change', async t => {
  t.same(notices({ system: { clockOffsetSeconds: -60 } }), [])
  const results = { login: ok({}), system: { clockOffsetSeconds: -61.4 } }
  t.same(notices(results), [['clock_skew', '61 s behind']])
  t.equal(stateOf(results).health.state, 'healthy')
})

/** Listeners of the store are called at the end of the turn. */
const turn = () => new Promise(resolve => setImmediate(resolve))

t.test('notices a reboot for an hour and logs it once', async t => {
  const system = { bootedAt: now - 200, rebootDetectedAt: now - 100 }
  const results = { login: ok({}), system }
  t.same(notices(results), [['rebooted', 'up since 2027-01-15T07:56:40Z']])
  t.same(notices(results, now + 3600), [])
  t.equal(stateOf(results).health.state, 'healthy')

  const lines: unknown[] = []
  const push = (fields: object, message: string) => lines.push([message, fields])
  const store = storeOf()
  const attempts: object[] = []
  createHealthLog({
    info: push,
    warn: push,
    debug: (fields: object) => attempts.push(fields),
  } as unknown as Log).start?.(store)
  const builder = aBuilder()
  store.setBuilders({
    source: 'nix',
    builders: [builder],
    problems: [],
    files: [],
    nix: { version: null, system: '' },
  })
  store.record(builder, [aResult('login', ok({}), now)])
  await turn()
  for (let i = 0; i < 3; i++) {
    store.record(builder, [aResult('system', ok(system), now + i)])
    await turn()
  }
  t.match(lines, [
    ['health changed', { state: 'healthy' }],
    ['notice', { builder: 'b1', kind: 'rebooted', reason: /was rebooted \(up since/ }],
  ])
  store.record(builder, [
    aResult('system', ok({ bootedAt: now - 10, rebootDetectedAt: now }), now),
  ])
  await turn()
  t.equal(lines.length, 3, 'logs the next reboot too')
  t.match(attempts[0], { builder: 'b1', probe: 'login', status: 'ok', durationMs: 100 })
  t.equal(attempts.length, 5, 'logs each attempt once at level debug')
})

t.test('notices a builder that only OpenSSH reaches', async t => {
  t.same(notices({ login: ok({ transport: 'openssh' }) }), [['needs_openssh', undefined]])
})

t.test('notices a Nix with a known hole', async t => {
  const version = (nixVersion: string, determinateVersion: string | null = null) =>
    notices({ system: { nixVersion, determinateVersion } })
  t.same(version('2.34.8'), [['nix_vulnerable', 'GHSA-vh5x-56v6-4368']])
  t.same(version('2.34.9'), [])
  t.same(version('2.34.0', '3.23.2'), [])
  const { health } = stateOf({
    login: ok({}),
    system: { nixVersion: '2.34.8', determinateVersion: null },
  })
  t.match(health, { state: 'healthy', cause: null }, 'it changes no state')
  t.equal(kindAlert('nix_vulnerable'), null)
  t.notOk(
    alertRules.some(({ expr }) => /nix_builder_info|advisory/.test(expr)),
    'no alert uses the label',
  )
})

t.test('attributes a rejected certificate to clock skew', async t => {
  const denied = (certificates: readonly CertificateInfo[], clockOffsetSeconds: number) =>
    diagnose(
      stateOf({
        login: {
          status: 'failed',
          kind: 'auth_denied',
          params: {},
          value: { certificates },
        },
        system: { clockOffsetSeconds },
      }).probes,
    )
  const today = certificate({ validFrom: now - 300, validUntil: now + 3600 })
  t.match(denied([today], 7200), {
    state: 'down',
    cause: {
      kind: 'clock_skew',
      params: { detail: '7200 s ahead, so /k-cert.pub is not valid there' },
    },
  })
  t.match(denied([today], -7200), { cause: { kind: 'clock_skew' } })
  t.match(denied([today], 100), { cause: { kind: 'auth_denied' } })
  t.match(denied([], 7200), { cause: { kind: 'auth_denied' } })
  t.match(denied([certificate({ validUntil: now - 1 })], 7200), {
    cause: { kind: 'auth_denied' },
  })
})

t.test('attributes a failure of Nix to variables of the remote shell', async t => {
  const crashed = (redirectedBy: readonly string[], kind: Kind = 'daemon_crash') =>
    diagnose(
      stateOf({
        login: ok({}),
        trust: { status: 'failed', kind, params: {} },
        system: { redirectedBy },
      }).probes,
    )
  t.match(crashed(['NIX_REMOTE', 'NIX_STATE_DIR']), {
    state: 'down',
    cause: {
      kind: 'remote_environment',
      params: { variables: 'NIX_REMOTE, NIX_STATE_DIR' },
    },
  })
  t.match(crashed([]), { cause: { kind: 'daemon_crash' } })
  t.match(crashed(['NIX_REMOTE'], 'nix_missing'), { cause: { kind: 'nix_missing' } })
})

const failed = (
  kind: Kind,
  endpoint: string,
  params: Params = {},
): Outcome<Partial<LoginValue>> => ({
  status: 'failed',
  kind,
  params,
  value: { endpoint },
})

t.test('builders behind one failed jump host share its cause', async t => {
  const params = { jump: 'gate', host: 'gate', port: '22' }
  const builders = statesOf(
    { login: failed('tcp_refused', 'a:22 behind gate', params) },
    { login: failed('tcp_refused', 'b:22 behind gate', params) },
    { login: failed('tcp_refused', 'c:22') },
    { login: ok({ endpoint: 'd:22 behind gate' } as never) },
  )
  t.same(sharedCauses(builders), [
    {
      scope: 'the jump host gate',
      reason: 'jump host gate: cannot reach gate port 22: connection refused',
      builders: ['b0', 'b1'],
    },
  ])
  t.equal(formatMessage('tcp_refused', params), sharedCauses(builders)[0]?.reason)
})

t.test('lines of one host share a cause, other users do not', async t => {
  const twice = (kind: Kind, other: Results['builder'] = {}) =>
    sharedCauses(
      statesOf(
        { login: failed(kind, 'a:22') },
        { builder: other, login: failed(kind, 'a:22') },
      ),
    ).map(({ scope }) => scope)
  t.same(twice('tcp_timeout', { user: 'other' }), ['host a:22'])
  t.same(twice('host_key_changed', { scheme: 'ssh' }), ['host a:22'])
  t.same(twice('auth_denied'), ['host a:22'])
  t.same(twice('auth_denied', { user: 'other' }), [])
  t.same(twice('auth_denied', { sshKey: '/other' }), [])
  t.same(
    sharedCauses(
      statesOf(
        { login: failed('tcp_timeout', 'a:22') },
        { login: failed('tcp_refused', 'a:22') },
        { login: failed('tcp_timeout', 'a:23') },
      ),
    ),
    [],
    'different kinds or ports',
  )
})

t.test('sessions without a client, and substituters that do not answer', async t => {
  const store = createStore({
    evaluateHealth: state => ({ health: state.health, changedAt: [] }),
    now: () => now,
    intervals,
  })
  const builder = aBuilder({ name: 'b1', host: 'b1' })
  store.setBuilders({
    source: 'files',
    builders: [builder],
    problems: [],
    files: [],
    nix: { version: null, system: '' },
  })
  const orphan = { pid: 7, seconds: 7200 }
  const recorded = store.record(builder, [
    aResult('sessions', ok({ sessions: 3, orphans: [orphan], orphanCount: 1 })),
    aResult(
      'substituters',
      ok({
        checked: [
          { url: 'https://a.example', reason: null },
          { url: 'http://b.example', reason: 'no connection' },
        ],
      }),
    ),
  ])
  const notices = collectNotices(recorded!.after, now)
  t.same(
    notices.map(({ kind, params }) => [kind, formatMessage(kind, params)]),
    [
      [
        'orphaned_sessions',
        '1 Nix process on b1 has no client any more (the oldest runs for 2 h 0 m)',
      ],
      [
        'builder_substituter_unreachable',
        'a substituter of b1 does not answer there (http://b.example: no connection)',
      ],
    ],
  )
  t.match(kindFixes('orphaned_sessions', notices[0]!.params), [
    {},
    { command: 'ps -o pid,ppid,etime,args -p 7', where: 'builder' },
    { command: 'kill 7', where: 'builder', root: true },
  ])
})
