/** Checks of this machine: each with a simulated machine, and once with the real one. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { clientOutcomes } from '../../../src/diagnosis/client-outcomes.ts'
import { createReport } from '../../../src/diagnosis/report.ts'
import {
  clientChecks,
  type ActiveBuilders,
  type LocalCheck,
  type HostKeyInfo,
  type LocalDaemon,
  type ResolvedSshConfig,
  type ResolveSshConfigAs,
  type Run,
  type RunResult,
  type Snapshot,
  type SshSettings,
} from '../../../src/model/index.ts'
import { readSshTimeouts } from '../../../src/probes/client/ssh-timeouts.ts'
import { createCheckClient } from '../../../src/probes/client/checks.ts'
import { createIsOffline } from '../../../src/probes/client/network.ts'
import { localSystem, type LocalSystem } from '../../../src/probes/client/local-system.ts'
import { findDaemon } from '../../../src/probes/slots/process.ts'
import { aBuilder } from '../../support/builders.ts'

const clock = { now: () => 1_000_000, monotonic: () => 0, sleep: async () => undefined }
const gib = 2 ** 30

interface Played extends Partial<LocalSystem> {
  /** Paths that exist, with their mode and time. */
  readonly files?: Readonly<
    Record<string, { mode?: number; uid?: number; mtime?: number; ctime?: number }>
  >
}

const passwd = 'root:x:0:0:root:/root:/bin/sh\nnixd:x:990:990::/var/lib/nixd:/bin/sh\n'

const machineOf = ({ files = {}, ...change }: Played): LocalSystem => ({
  uid: 0,
  memory: async () => ({ available: 8 * gib, total: 16 * gib }),
  space: async () => ({ available: 50 * gib, total: 100 * gib }),
  hasNetwork: () => true,
  hasRoute: () => Promise.resolve(true),
  daemon: async () => ({
    pid: 1,
    uid: 0,
    startedAt: 1000,
    path: '/usr/bin',
    env: { PATH: '/bin:/usr/bin' },
  }),
  stat: async path => {
    const file = files[path]
    return file ? { mode: 0o100600, uid: 0, mtime: 500, ctime: 500, ...file } : null
  },
  canRead: async () => true,
  canExecute: async path => path === '/usr/bin/ssh',
  canWrite: async () => true,
  readText: async path => (path === '/etc/passwd' ? passwd : null),
  realPath: async path => path,
  readStart: async () => null,
  ...change,
})

const activeOf = (change: Partial<ActiveBuilders> = {}): ActiveBuilders => ({
  source: 'nix',
  builders: [aBuilder({ sshKey: '/key' })],
  problems: [],
  files: [],
  nix: { version: '2.34.8', system: 'x86_64-linux', configFiles: ['/etc/nix/nix.conf'] },
  ...change,
})

const usual = { '/key': {}, '/etc/nix/nix.conf': {}, '/nix/var/nix/daemon-socket': {} }
const trusted: LocalDaemon = { answers: true, trusted: true, version: '2.34.8' }
const silent = (reason: string): LocalDaemon => ({ answers: false, reason })

const hostKey: HostKeyInfo = {
  type: 'ssh-ed25519',
  fingerprint: 'SHA256:abc',
  blob: 'AAAA',
  verifiedBy: 'known_hosts',
}

/** What a working Nix answers to a build for a system that no machine has. */
const refusal: RunResult = {
  code: 1,
  signal: null,
  stdout: '',
  stderr: 'Failed to find a machine for remote build!\nerror: unable to start any build',
  truncated: false,
  spawnError: null,
  aborted: false,
}

const checkAll = async (
  played: Played = {},
  active: ActiveBuilders = activeOf(),
  daemon: LocalDaemon = trusted,
  resolveSshConfigAs?: ResolveSshConfigAs,
  run: Run = async () => refusal,
  identity?: string,
  env: Readonly<Record<string, string>> = {},
) =>
  createCheckClient({
    run,
    askSubstituter: async () => ({ status: 'answers' }),
    localSystem: machineOf({ files: usual, ...played }),
    env: { PATH: '/bin:/usr/bin', ...env },
    askLocalDaemon: async () => daemon,
    clock,
    ...(resolveSshConfigAs ? { resolveSshConfigAs } : {}),
  })(
    active,
    new AbortController().signal,
    Promise.resolve(new Map([['b1', { hostKey, ...(identity ? { identity } : {}) }]])),
  )

const check = async (name: LocalCheck, ...args: Parameters<typeof checkAll>) =>
  (await checkAll(...args)).checks[name]

t.test('a working machine passes every check', async t => {
  const { at, checks } = await checkAll()
  t.equal(at, 1000)
  const local = clientChecks.filter(name => name !== 'canary')
  t.same(Object.keys(checks).sort(), local.toSorted())
  for (const [name, outcome] of Object.entries(checks))
    t.match(outcome, { status: 'ok' }, name)
})

t.test('a machine without Nix has no errors', async t => {
  const nix = { version: null, system: 'x86_64-linux' }
  const { checks } = await checkAll({}, activeOf({ nix, builders: [] }), silent('ENOENT'))
  t.match(checks, {
    daemon: { status: 'skipped', kind: 'no_local_nix' },
    trust: { status: 'skipped' },
    ssh: { status: 'skipped' },
  })
  for (const { status } of Object.values(checks)) t.not(status, 'failed')
})

t.test('reports a daemon that is down, frozen, inaccessible or absent', async t => {
  const daemon = (reason: string, played: Played = {}) =>
    check('daemon', played, activeOf(), silent(reason))
  t.match(await daemon('ECONNREFUSED'), { status: 'failed', kind: 'client_daemon_down' })
  t.match(await daemon('ENOENT', { uid: 1000 }), {
    status: 'failed',
    kind: 'client_daemon_down',
    params: { detail: '/nix/var/nix/daemon-socket/socket: no such file' },
  })
  t.match(
    await daemon('ENOENT', { uid: 0 }),
    { status: 'skipped' },
    'root needs no daemon',
  )
  t.match(await daemon('no answer within 5 s'), { status: 'failed' })
  t.match(await daemon('ENOENT', { files: {} }), {
    status: 'skipped',
    kind: 'not_applicable',
  })
  t.match(await daemon('EACCES'), { status: 'degraded', kind: 'client_daemon_denied' })
  t.match(await daemon('unexpected end'), { kind: 'client_daemon_denied' })
  t.match(await daemon('unexpected end', { daemon: async () => null }), {
    kind: 'client_daemon_down',
  })
})

t.test('reports a nix.conf that the daemon has not read', async t => {
  const at = (mtime: number) =>
    check('daemon', { files: { ...usual, '/etc/nix/nix.conf': { mtime } } })
  t.match(await at(1003), {
    status: 'degraded',
    kind: 'daemon_restart_needed',
    params: { file: '/etc/nix/nix.conf' },
  })
  t.match(await at(1001), { status: 'ok' }, 'start times are rounded')
})

t.test('reports trust without an error', async t => {
  const answer = await check('trust', {}, activeOf(), {
    answers: true,
    trusted: false,
    version: null,
  })
  t.match(answer, { status: 'skipped', kind: 'client_untrusted' })
})

t.test('checks ssh in both environments', async t => {
  t.match(await check('ssh', { canExecute: async () => false }), {
    status: 'failed',
    kind: 'ssh_missing',
  })
  const daemon = async () => ({
    pid: 1,
    uid: 0,
    startedAt: 1000,
    path: '/opt/bin',
    env: null,
  })
  t.match(await check('ssh', { daemon }), { params: { whose: 'nix-daemon' } })
  const hidden = async () => ({ pid: 1, uid: 0, startedAt: 1000, path: null, env: null })
  t.match(await check('ssh', { daemon: hidden }), { status: 'ok' })
})

t.test('skips the comparison if files of root are not readable', async t => {
  const files = { ...usual, '/root/.ssh/config': {} }
  const not = { uid: 1000, canRead: async () => false, files }
  t.match(await check('identity', not), {
    kind: 'root_ssh_config_unreadable',
    params: { sshUser: 'root', detail: 'root: process 1' },
  })
  const readable = { ...not, canRead: async () => true }
  t.match(await check('identity', readable), {
    status: 'ok',
    note: 'builds log in as root (process 1)',
  })
  t.match(await check('identity', not, activeOf(), silent('ENOENT')), {
    status: 'skipped',
    kind: 'not_applicable',
  })
})

const settings: SshSettings = {
  user: 'nix',
  hostname: '10.0.0.1',
  port: 22,
  hostKeyAlias: null,
  proxyJump: null,
  proxyCommand: null,
  agent: null,
  identityFiles: [],
  userKnownHosts: ['/home/m/.ssh/known_hosts'],
}
const noKey = activeOf({ builders: [aBuilder({ sshKey: null })] })

t.test('reports different ssh settings of root', async t => {
  // Our own settings are resolved with the unchanged environment and without a home
  const parity = (
    theirs: Partial<ResolvedSshConfig['target']>,
    hostKeyRejection: ResolvedSshConfig['hostKeyRejection'] = null,
  ) =>
    check(
      'identity',
      { uid: 1000, files: { ...usual, '/h/id': {} } },
      noKey,
      trusted,
      async (_, { home }) =>
        home === null
          ? { target: settings, hostKeyRejection: null }
          : { target: { ...settings, ...theirs }, hostKeyRejection },
    )
  const differs = async (field: string, theirs: Partial<SshSettings>, words: RegExp) =>
    t.match(await parity(theirs), {
      status: 'degraded',
      kind: 'ssh_settings_differ',
      params: { whose: 'root', field, detail: words },
    })
  t.match(await parity({}), { status: 'ok' })
  await differs(
    'user',
    { user: 'root' },
    /b1: user is root for root, nix for this service/,
  )
  await differs(
    'host',
    { hostname: 'b9' },
    /host is b9 for root, 10\.0\.0\.1 for this service/,
  )
  await differs('port', { port: 2222 }, /port is 2222 for root, 22 for this service/)
  await differs(
    'HostKeyAlias',
    { hostKeyAlias: 'x' },
    /is x for root, nothing for this service/,
  )
  await differs(
    'ProxyJump',
    { proxyJump: 'gate' },
    /is gate for root, nothing for this service/,
  )
  await differs('ProxyCommand', { proxyCommand: 'nc -p secret' }, /is another command/)
  await differs(
    'identity files',
    { identityFiles: ['/h/id', '/h/no'] },
    /is \/h\/id for root/,
  )
  t.match(
    await parity({ identityFiles: ['/h/no'] }),
    { status: 'ok' },
    'a missing identity file',
  )
  t.match(
    await parity({ userKnownHosts: ['/root/k'] }),
    { status: 'ok' },
    'only the path differs',
  )
  const lacks = await parity({ userKnownHosts: ['/root/k'] }, 'host_key_unknown')
  t.match(lacks, {
    kind: 'ssh_settings_differ',
    params: {
      detail:
        'b1: known_hosts is /root/k without that host key for root, /home/m/.ssh/known_hosts for this service',
      file: '/home/m/.ssh/known_hosts',
    },
  })
})

t.test('compares the environment of nix-daemon when running as root', async t => {
  const resolved: unknown[] = []
  const parity = (env: Readonly<Record<string, string>> | null, uid = 0) =>
    check(
      'identity',
      { uid, daemon: async () => ({ pid: 7, uid: 0, startedAt: 1, path: null, env }) },
      noKey,
      trusted,
      async (_, { env: change, home, hostKey }) => {
        // Timeouts are asked for without a host key
        if (hostKey !== null) resolved.push([change, home])
        const port = change['NIX_SSHOPTS'] === undefined ? 22 : 23
        return { target: { ...settings, port }, hostKeyRejection: null }
      },
    )
  const path = { PATH: '/bin:/usr/bin' }
  t.match(await parity(path), { status: 'ok' })
  t.same(resolved, [], 'the same environment is not resolved')
  t.match(await parity({ ...path, NIX_SSHOPTS: '-p 23' }), {
    kind: 'ssh_settings_differ',
    params: { whose: 'nix-daemon', field: 'port' },
  })
  t.same(resolved, [
    [{}, null],
    [{ NIX_SSHOPTS: '-p 23' }, null],
  ])
  t.match(
    await parity({ PATH: '/other' }),
    { status: 'ok' },
    'an equivalent configuration',
  )
  t.match(
    await parity(null),
    { status: 'skipped', kind: 'root_ssh_config_unreadable' },
    'nothing was compared',
  )
  t.match(await parity(null, 1000), {
    status: 'skipped',
    kind: 'root_ssh_config_unreadable',
    params: { files: 'the environment of nix-daemon (process 7)' },
  })
})

t.test('an agent that only the shell has', async t => {
  const agentOfShell: ResolveSshConfigAs = async (_, { env }) => ({
    target: { ...settings, agent: 'SSH_AUTH_SOCK' in env ? null : '/run/agent' },
    hostKeyRejection: null,
  })
  // Our environment has an agent, that of nix-daemon has none
  const identityOf = async (
    identity: string | undefined,
    sshKey: string | null,
    played: Played = {},
  ) =>
    (
      await checkAll(
        {
          daemon: async () => ({
            pid: 7,
            uid: 0,
            startedAt: 1,
            path: null,
            env: { PATH: '/bin', SSH_AUTH_SOCK: '' },
          }),
          canRead: async () => true,
          ...played,
        },
        activeOf({ builders: [aBuilder({ sshKey })] }),
        trusted,
        agentOfShell,
        undefined,
        identity,
        { SSH_AUTH_SOCK: '/run/agent' },
      )
    ).checks.identity
  const differs = {
    status: 'degraded',
    kind: 'ssh_settings_differ',
    params: { field: 'agent' },
  }
  t.match(await identityOf('agent', null), differs)
  t.match(await identityOf(undefined, null), differs, 'it is unknown which key logged in')
  t.match(
    await identityOf('agent', '/key'),
    differs,
    'the builder rejected the key of the line',
  )
  t.match(await identityOf('/key', '/key'), { status: 'ok' })
  t.match(
    await identityOf('/root/.ssh/id', null),
    { status: 'ok' },
    'a file that both have',
  )
  t.match(
    await identityOf('agent', '/key', {
      uid: 1000,
      canRead: async path => path !== '/key',
    }),
    { status: 'skipped', kind: 'root_ssh_config_unreadable', params: { files: '/key' } },
    'only nix-daemon can read the key of the line',
  )
})

t.test('finds whose ssh nix-daemon uses', async t => {
  const units = (answers: Readonly<Record<string, string>>): Run => {
    return async ({ file, args }) => ({
      ...refusal,
      code: file === 'systemctl' && answers[args[1] ?? ''] !== undefined ? 0 : 1,
      stdout: answers[args[1] ?? ''] ?? '',
    })
  }
  const identity = (played: Played, run?: Run) =>
    check('identity', { canRead: async () => true, ...played }, noKey, trusted, same, run)
  const same: ResolveSshConfigAs = async () => ({
    target: settings,
    hostKeyRejection: null,
  })
  const env = { PATH: '/bin:/usr/bin' }
  const ownedBy = (uid: number | null) => async () => ({
    ...{ pid: 9, uid, startedAt: 1000, path: null, env },
  })
  t.match(await identity({ daemon: ownedBy(990) }), {
    status: 'ok',
    note: 'builds log in as nixd (process 9)',
  })
  const files = { ...usual, '/var/lib/nixd/.ssh/config': {} }
  t.match(await identity({ daemon: ownedBy(990), files, canRead: async () => false }), {
    status: 'skipped',
    params: { sshUser: 'nixd', files: '/var/lib/nixd/.ssh/config' },
  })
  const none = async () => null
  const service = { 'nix-daemon.service': 'LoadState=loaded\nUser=nixd\n' }
  t.match(await identity({ daemon: none }, units(service)), {
    status: 'skipped',
    params: { sshUser: 'nixd', detail: 'nixd: User= of nix-daemon.service' },
  })
  const perConnection = {
    ...service,
    'nix-daemon.socket': 'LoadState=loaded\nAccept=yes\n',
    'nix-daemon@0.service': 'LoadState=loaded\nUser=\n',
  }
  t.match(await identity({ daemon: none }, units(perConnection)), {
    status: 'skipped',
    params: { sshUser: 'root', detail: 'root: nix-daemon@.service, without User=' },
  })
  const socket = '/nix/var/nix/daemon-socket/socket'
  t.match(
    await identity(
      { daemon: none, files: { ...usual, [socket]: { uid: 990 } } },
      units({}),
    ),
    { params: { sshUser: 'nixd', detail: `nixd: the owner of ${socket}` } },
  )
  t.match(await identity({ daemon: none }, units({})), {
    status: 'skipped',
    kind: 'daemon_user_unknown',
  })
  t.match(
    await identity({ daemon: ownedBy(65_534) }, units({})),
    { kind: 'daemon_user_unknown' },
    'the user namespace of a hardened service hides the owner',
  )
})

t.test('reports keys that ssh rejects', async t => {
  const keys = (file: object | null) =>
    check('keys', { files: file ? { ...usual, '/key': file } : {} })
  t.match(await keys({ mode: 0o100644 }), {
    status: 'degraded',
    kind: 'key_permissions',
    params: { key: '/key', detail: 'mode 644' },
  })
  t.match(
    await keys({ mode: 0o100644, uid: 7 }),
    { status: 'ok' },
    'only our own keys, as in ssh',
  )
  t.match(await keys(null), { kind: 'key_missing' })
  t.match(await check('keys', { stat: async () => ({ code: 'EACCES' }) }), {
    status: 'ok',
  })
})

t.test('reports a key that changed after the service start', async t => {
  const builders = [aBuilder({ sshKey: '/key', credential: '/run/credentials/key' })]
  const keys = (ctime: number) =>
    checkAll(
      { files: { '/key': { ctime }, '/run/credentials/key': { mtime: 600 } } },
      activeOf({ builders }),
    ).then(({ checks }) => checks.keys)
  t.match(await keys(601), {
    status: 'degraded',
    kind: 'key_copy_outdated',
    params: { detail: /\/key has changed/, service: 'builder-monitor' },
  })
  t.match(await keys(600), { status: 'ok' })
})

t.test('checks disk, memory and network', async t => {
  const spaceOf =
    (available: number, where = '/nix/store', total = 100 * gib) =>
    async (path: string) => ({ available: path === where ? available : 50 * gib, total })
  const space = spaceOf(5e6)
  t.match(await check('disk', { space }), {
    status: 'failed',
    kind: 'client_disk_full',
    params: { path: '/nix/store', available: '4.8 MiB' },
  })
  t.match(await check('disk', { space: async () => null }), { status: 'ok' })
  t.match(await check('disk', { space: spaceOf(4e8) }), {
    status: 'degraded',
    kind: 'client_disk_low',
    params: { path: '/nix/store', minFree: '512 MiB' },
  })
  t.match(await check('disk', { space: spaceOf(4e8, '/nix/var/nix') }), { status: 'ok' })
  t.match(await check('disk', { space: spaceOf(1e6, '/nix/var/log/nix') }), {
    status: 'failed',
    params: { path: '/nix/var/log/nix' },
  })
  t.match(await check('disk', { space: spaceOf(4e7, '/tmp', 6e7) }), { status: 'ok' })
  const memory = (available: number, total: number) =>
    check('memory', { memory: async () => ({ available, total }) })
  t.match(await memory(5e7, 8 * gib), { status: 'degraded', kind: 'client_memory' })
  t.match(await memory(1e8, 2.5e8), { status: 'ok' }, 'a small machine')
  t.match(await check('memory', { memory: async () => null }), { status: 'skipped' })
  const hasNetwork = () => false
  t.match(await check('network', { hasNetwork }), { kind: 'client_offline' })
  t.match(
    await check('network', { hasNetwork }, activeOf({ builders: [] })),
    { status: 'skipped' },
    'no builder to connect to',
  )
})

t.test('reports an invalid or unused list', async t => {
  const problem = { file: '/m', line: 3, message: 'bad', isFatal: true }
  t.match(await check('config', {}, activeOf({ problems: [problem] })), {
    status: 'failed',
    kind: 'config_invalid',
  })
  const empty = (value: string, text: string | null) =>
    check(
      'config',
      { readText: async () => text },
      activeOf({
        builders: [],
        nix: {
          version: '2.34.8',
          system: 'x',
          settings: { builders: { value, origin: null } },
        },
      }),
    )
  t.match(await empty('', '# c\nssh://a\n'), {
    status: 'degraded',
    kind: 'machines_unused',
    params: { file: '/etc/nix/machines' },
  })
  t.match(await empty('', '# nothing\n'), { status: 'ok' })
  t.match(await empty('', null), { status: 'ok' })
  t.match(await empty('@/etc/nix/machines', 'ssh://a\n'), { status: 'ok' })
})

const snapshotOf = (change: Partial<Snapshot>) =>
  ({ builders: new Map(), problems: [], ...change }) as unknown as Snapshot

t.test('the report has reason and fixes of a failed check', async t => {
  const client = await checkAll({ canExecute: async () => false })
  t.match(createReport(snapshotOf({ client })).client, {
    ready: false,
    checks: {
      ssh: {
        status: 'failed',
        kind: 'ssh_missing',
        reason: /ssh program/,
        fixes: [{ text: /apt/ }],
      },
      disk: { status: 'ok' },
    },
  })
  t.equal(createReport(snapshotOf({ client: await checkAll() })).client.ready, true)
  t.same(createReport(snapshotOf({})).client, {
    ready: true,
    checks: { config: { status: 'ok' } },
  })
})

t.test('the report uses the present list, not that of the last check', async t => {
  const problem = { file: '/m', line: 3, message: 'bad', isFatal: true }
  const broken = await checkAll({}, activeOf({ problems: [problem] }))
  t.equal(clientOutcomes(snapshotOf({ client: broken })).config?.status, 'ok')
  const working = await checkAll()
  const now = clientOutcomes(snapshotOf({ client: working, problems: [problem] }))
  t.equal(now.config?.status, 'failed')
})

t.test('finds the listening nix-daemon among others', async t => {
  const proc = await mkdtemp(join(tmpdir(), 'client-test-'))
  t.teardown(() => rm(proc, { recursive: true, force: true }))
  await writeFile(join(proc, 'stat'), 'btime 1000\n')
  const add = async (
    pid: number,
    comm: string,
    args: string,
    ticks: number,
    parent = 1,
  ) => {
    await mkdir(join(proc, String(pid)))
    const zeros = Array.from({ length: 17 }, () => '0')
    const fields = ['S', String(parent), ...zeros, String(ticks), '0']
    await writeFile(join(proc, `${pid}/stat`), `${pid} (${comm}) ${fields.join(' ')}`)
    await writeFile(join(proc, `${pid}/comm`), `${comm}\n`)
    await writeFile(join(proc, `${pid}/status`), 'Name:\tx\nUid:\t9\t990\t9\t9\n')
    await writeFile(join(proc, `${pid}/cmdline`), args.replaceAll(' ', '\0'))
    await writeFile(join(proc, `${pid}/environ`), 'A=1\0PATH=/x:/y\0NIX_SSHOPTS=-p 1=2\0')
  }
  t.equal(await findDaemon(proc), null)
  await add(5, 'nix-daemon', '/usr/bin/nix-daemon', 100)
  await add(6, 'nix-daemon', 'nix-daemon 4242', 900)
  await add(7, 'nix-daemon', 'nix-daemon --stdio', 900)
  await add(8, 'nix', 'nix build', 900)
  await add(11, 'nix-daemon', '/usr/bin/nix-daemon', 900, 5)
  await add(9, 'bash', 'bash nix-daemon', 900)
  t.same(await findDaemon(proc), {
    pid: 5,
    uid: 990,
    startedAt: 1001,
    path: '/x:/y',
    env: { PATH: '/x:/y', NIX_SSHOPTS: '-p 1=2' },
  })
  await add(10, 'nix', 'nix daemon', 200)
  t.match(await findDaemon(proc), { pid: 10 })
  // The kernel keeps 15 characters of the name
  await add(12, 'determinate-nix', '/usr/local/bin/determinate-nixd daemon', 300)
  t.match(await findDaemon(proc), { pid: 12 })
})

t.test('checks this machine quickly', async t => {
  const started = performance.now()
  const client = await createCheckClient({
    localSystem,
    env: process.env,
    askLocalDaemon: async () => silent('ENOENT'),
    clock,
  })(activeOf({ builders: [] }), new AbortController().signal)
  const took = performance.now() - started
  t.not(client.checks.memory.status, 'failed')
  t.not(client.checks.disk.status, 'failed')
  // 20 to 60 ms on two cores; ten times that under load
  t.ok(took < 10_000, `${Math.round(took)} ms`)
})

t.test('offline without an address, or without any route to the builder', async t => {
  const isOffline = (routes: readonly string[], hasNetwork: boolean) =>
    createIsOffline({
      hasNetwork: () => hasNetwork,
      hasRoute: address => Promise.resolve(routes.includes(address)),
    })
  const b1 = aBuilder({ host: 'b1' })
  const lan = isOffline(['10.0.0.1'], true)
  t.equal(await lan(b1, '10.0.0.1'), false, 'a network without a default route')
  t.equal(await lan(b1, '10.9.0.1'), true)
  t.equal(await lan(b1, null), false, 'a name that does not resolve may be wrong')
  t.equal(await isOffline(['203.0.113.1'], true)(b1, '10.9.0.1'), false)
  t.equal(await isOffline(['2001:db8::1'], true)(b1, '10.9.0.1'), false)
  t.equal(await isOffline([], false)(b1, null), true)
  t.equal(await isOffline([], false)(aBuilder({ host: 'localhost' }), null), false)
})

t.test('asks the kernel for a route', async t => {
  t.equal(await localSystem.hasRoute('127.0.0.1'), true)
  t.equal(
    await localSystem.hasRoute('fe80::1'),
    false,
    'a link-local one has no interface',
  )
})

t.test('reads the timeouts of the ssh that Nix runs', async t => {
  const asked: unknown[] = []
  const timeouts = async (played: Played, daemon: LocalDaemon = trusted) => {
    asked.length = 0
    const state = await checkAll(
      played,
      noKey,
      daemon,
      async (_, { env, home, user, hostKey }) => {
        if (hostKey === null) asked.push({ env, home, user })
        return {
          target: {
            ...settings,
            connectTimeout: env['NIX_SSHOPTS'] === '-oConnectTimeout=10' ? 10 : null,
            serverAliveInterval: home === '/root' ? 5 : null,
          },
          hostKeyRejection: null,
        }
      },
    )
    return state.sshTimeouts
  }
  const daemonOf = (env: Readonly<Record<string, string>> | null) => ({
    daemon: async () => ({ pid: 7, uid: 0, startedAt: 1, path: null, env }),
  })
  const of = (connectTimeout: number | null, serverAliveInterval: number | null) => [
    { builder: 'b1', connectTimeout, serverAliveInterval },
  ]
  t.same(
    await timeouts({ uid: 0, ...daemonOf({ NIX_SSHOPTS: '-oConnectTimeout=10' }) }),
    {
      user: 'root',
      isEnvironmentKnown: true,
      builders: of(10, null),
    },
  )
  t.same(
    await timeouts({ uid: 1000, files: usual, ...daemonOf(null) }),
    { user: 'root', isEnvironmentKnown: false, builders: of(null, 5) },
    'the files of another user',
  )
  t.same(asked.at(-1), { env: { NIX_SSHOPTS: undefined }, home: '/root', user: 'root' })
  t.same(
    await timeouts({ uid: 1000, files: usual }, silent('ENOENT')),
    { user: null, isEnvironmentKnown: true, builders: of(null, null) },
    'our own without a daemon',
  )
  t.equal(
    await timeouts({
      uid: 1000,
      stat: async () => ({ code: 'EACCES' }),
      ...daemonOf(null),
    }),
    undefined,
    'no data where the files are not readable',
  )
  const copied = await readSshTimeouts({
    active: noKey,
    env: { CREDENTIALS_DIRECTORY: '/run/credentials', NIX_SSHOPTS: '-F /run/ssh_config' },
    localSystem: machineOf({
      uid: 1000,
      stat: async () => ({ code: 'EACCES' }),
      ...daemonOf(null),
    }),
    daemon: trusted,
    logins: Promise.resolve(new Map()),
    signal: new AbortController().signal,
    resolveSshConfigAs: async (_, { env, home }) => {
      t.same({ env, home }, { env: {}, home: null }, 'our copies')
      const own = { connectTimeout: 10, serverAliveInterval: 5 }
      return { target: { ...settings, ...own }, hostKeyRejection: null }
    },
  })
  t.same(copied?.builders, of(10, 5))
})
