/** Every lint rule, with inputs that it reports and inputs that it must not report. */
import t from 'tap'
import { readActiveBuilders } from '../../../src/config/builders/active-builders.ts'
import { lint } from '../../../src/diagnosis/lint/lint.ts'
import type {
  Builder,
  BuilderState,
  LocalNix,
  Outcome,
  ProbeName,
  ProbeRecords,
} from '../../../src/model/index.ts'
import { editMachine } from '../../../src/nix/machines/edit-machine-line.ts'
import { parseMachine } from '../../../src/nix/machines/machine-line.ts'
import { dialectOf } from '../../../src/nix/dialect.ts'
import { aResult } from '../../support/builders.ts'

const gib = 2 ** 30

type Outcomes = { readonly [P in ProbeName]?: Outcome<unknown> | object }

/** Probe records with these newest outcomes; a plain value is a successful one. */
const recordsOf = (outcomes: Outcomes): ProbeRecords =>
  Object.fromEntries(
    Object.entries(outcomes).map(([probe, outcomeOrValue]) => {
      const outcome = (
        'status' in outcomeOrValue
          ? outcomeOrValue
          : { status: 'ok', value: outcomeOrValue }
      ) as Outcome
      const result = aResult(probe as ProbeName, outcome)
      const good = outcome.status === 'ok'
      return [
        probe,
        {
          last: result,
          conclusive: result,
          lastSuccess: good ? result : null,
          attempts: 1,
          failures: 0,
          streak: { ok: good, count: 1, since: 0 },
        },
      ]
    }),
  )

/** A builder parsed from its line by a version of Nix. */
const read = (
  line: string,
  version: string,
  outcomes: Outcomes = {},
  at = 1,
): BuilderState => {
  const { machine } = parseMachine(line, dialectOf(version), 'x86_64-linux')
  if (!machine) throw new Error(`no machine: ${line}`)
  const builder: Builder = {
    ...machine,
    name: `m${at}`,
    origin: { file: '/etc/nix/machines', line: at },
  }
  return { builder, probes: recordsOf(outcomes) } as BuilderState
}

const local = (change: Partial<LocalNix> = {}): LocalNix => ({
  version: '2.34.8',
  system: 'x86_64-linux',
  settings: {},
  ...change,
})

const good =
  'ssh-ng://nix@b1 x86_64-linux /key 4 1 kvm - c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUEK'

/** Findings of a list of one line. */
const lintLine = (line: string, outcomes: Outcomes = {}, nix: LocalNix = local()) =>
  lint({ builders: [read(line, nix.version ?? '2.34.8', outcomes)], nix })

const rules = (findings: ReturnType<typeof lint>) => findings.map(({ rule }) => rule)

const hostKey = {
  type: 'ssh-ed25519',
  fingerprint: 'SHA256:abc',
  blob: 'AAAAC3NzaC1lZDI1NTE5AAAAIFxx',
  hostKeyName: 'b1',
  verifiedBy: 'known_hosts',
}
const system = {
  maxJobs: 4,
  buildUsers: 32,
  minFree: 5 * gib,
  maxFree: 20 * gib,
  missingFeatures: [],
}
const disk = { store: { path: '/nix/store', sizeBytes: 100 * gib, availableBytes: gib } }
const memory = { daemonBytes: 1e9, daemonLimitBytes: 8e9 }

t.test('no finding for a valid line and a healthy builder', async t => {
  const outcomes = { login: { hostKey }, system, disk, memory }
  t.same(lintLine(good, outcomes), [])
  t.same(lintLine(good), [], 'nor without data')
})

t.test('suggests the line with the verified host key', async t => {
  const line = 'ssh-ng://nix@b1 x86_64-linux /key 4'
  const [finding] = lintLine(line, { login: { hostKey } })
  t.match(finding, { builder: 'm1', rule: 'host_key_unpinned', message: /known_hosts/ })
  t.equal(
    finding?.fix,
    `ssh-ng://nix@b1 x86_64-linux /key 4 - - - ${Buffer.from('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFxx\n').toString('base64')}`,
  )
  const { machine } = parseMachine(
    finding?.fix ?? '',
    dialectOf('2.34.8'),
    'x86_64-linux',
  )
  t.match(machine, { maxJobs: 4, speedFactor: 1, sshKey: '/key' }, 'Nix reads it')

  t.same(lintLine(line, { login: { hostKey: { ...hostKey, verifiedBy: 'none' } } }), [])
  t.same(
    lintLine(line, { login: { hostKey: { ...hostKey, hostKeyName: 'b1.example' } } }),
    [],
  )
  t.same(lintLine(line, { login: { hostKey: null } }), [], 'a key that only ssh saw')
  t.same(lintLine(line), [], 'no login yet')
})

t.test('suggests HostKeyAlias for an alias with a pinned key', async t => {
  const login = (detail: string) => ({
    login: {
      status: 'failed',
      kind: 'host_key_unknown',
      params: { knownAs: '10.0.0.1', detail },
    },
  })
  t.match(
    lintLine(good, login('field 8 pins a key for b1, but ssh looks for 10.0.0.1')),
    [{ rule: 'host_key_alias', fix: 'Host b1\n  HostKeyAlias b1' }],
  )
  t.same(lintLine(good, login('it shows ssh-ed25519 SHA256:abc')), [])
})

t.test('reports a port that this Nix ignores', async t => {
  const line = good.replace('@b1', '@b1:2222')
  const finding = (version: string) => lintLine(line, {}, local({ version }))
  t.match(finding('2.26.3'), [{ rule: 'port_ignored', fix: good }])
  t.match(finding('2.93.0'), [
    { rule: 'port_ignored', fix: good.replace('@b1', '@b1?port=2222') },
  ])
  t.same(finding('2.34.8'), [])
  t.same(
    lintLine(good.replace('@b1', '@[fe80::1]'), {}, local({ version: '2.26.3' })),
    [],
  )
})

t.test('reports zero slots and more slots than build users', async t => {
  t.match(lintLine(good.replace(' 4 ', ' 0 '), { system }), [
    { rule: 'max_jobs_zero', fix: good },
  ])
  t.same(
    lintLine(good.replace(' 4 ', ' 8 '), { system: { ...system, maxJobs: 1 } }),
    [],
    'max-jobs of the builder applies per connection and limits nothing',
  )
  t.match(lintLine(good, { system: { ...system, buildUsers: 2 } }), [
    {
      rule: 'max_jobs_above_build_users',
      message: /the builder has 2 build users/,
      fix: good.replace(' 4 ', ' 2 '),
    },
  ])
  t.same(lintLine(good, { system: { ...system, maxJobs: null, buildUsers: null } }), [])
  t.same(lintLine(good, { system: { ...system, maxJobs: 0 } }), [], 'never advises 0')
})

t.test('reports unsuitable min-free and max-free of the builder', async t => {
  const finding = (change: object) =>
    lintLine(good, { system: { ...system, ...change }, disk })
  t.match(finding({ minFree: 0 }), [
    { rule: 'min_free_off', fix: 'min-free = 10737418240\nmax-free = 32212254720' },
  ])
  t.match(finding({ minFree: 10 * 2 ** 20, maxFree: 200 * 2 ** 20 }), [
    { rule: 'min_free_tiny', message: /10 MiB/ },
  ])
  t.match(finding({ maxFree: 5 * gib }), [
    { rule: 'max_free_below_min_free', fix: `max-free = ${15 * gib}` },
  ])
  t.same(finding({ minFree: null }), [], 'no data')
  t.same(finding({ minFree: gib, maxFree: 2 ** 63 }), [])
  const small = { store: { sizeBytes: gib / 4 } }
  t.same(
    lintLine(good, { system: { ...system, minFree: 32 * 2 ** 20 }, disk: small }),
    [],
  )
})

t.test('reports missing memory limits of nix-daemon, and root logins', async t => {
  const root = good.replace('nix@', 'root@')
  const noLimit = { ...memory, daemonLimitBytes: null }
  t.match(lintLine(root, { memory }), [
    { rule: 'root_login', fix: good.replace('nix@', 'remotebuild@') },
  ])
  t.match(lintLine(good, { memory: noLimit }), [
    { rule: 'memory_max_unset', fix: '[Service]\nMemoryMax=90%' },
  ])
  t.same(lintLine(good, { memory: { daemonBytes: null, daemonLimitBytes: null } }), [])
})

t.test('reports a slash that turns a host into a directory', async t => {
  const rest = good.slice(good.indexOf(' '))
  t.match(lintLine(`b1/${rest}`), [{ rule: 'slash_in_host', fix: `ssh-ng://b1${rest}` }])
  t.same(lintLine(`/srv/store${rest}`), [], 'a path is meant')
  t.same(lintLine(`./store${rest}`), [])
  t.match(lintLine(good.replace('@b1', '@b1/x'), {}, local({ version: '2.26.3' })), [
    { rule: 'slash_in_host', fix: good },
  ])
  t.same(
    lintLine(
      good.replace('@b1', '@b1?remote-store=/srv/x'),
      {},
      local({ version: '2.26.3' }),
    ),
    [],
  )
})

t.test('reports settings of this machine', async t => {
  const set = (name: string, value: string, version = '2.34.8') =>
    local({
      version,
      settings: { [name]: { value, origin: { file: '/etc/nix/nix.conf', line: 3 } } },
    })
  t.match(lintLine(good, {}, set('builders-use-substitutes', 'false')), [
    { rule: 'builders_use_substitutes', fix: 'builders-use-substitutes = true' },
  ])
  t.same(lintLine(good, {}, set('builders-use-substitutes', 'yes')), [])
  t.same(
    lint({ builders: [], nix: set('builders-use-substitutes', 'false') }),
    [],
    'irrelevant without builders',
  )
  t.match(lintLine(good, {}, set('min-free', '1G', '2.8.0')), [
    { rule: 'size_suffix', message: /nix\.conf:3/, fix: 'min-free = 1073741824' },
  ])
  t.same(lintLine(good, {}, set('min-free', '1G')), [])
  t.same(lintLine(good, {}, set('min-free', '1000', '2.8.0')), [])
})

t.test('reports spaces and comments that the old grammar misreads', async t => {
  const origin = { file: '/etc/nix/machines', line: 7 }
  const syntaxPitfalls = [
    { ...origin, kind: 'blank' as const, text: '' },
    { ...origin, kind: 'comment' as const, text: 'ssh://old' },
  ]
  t.match(lintLine(good, {}, local({ version: '2.26.3', syntaxPitfalls })), [
    { rule: 'blank_line', message: /machines:7/, fix: /7s/ },
    { rule: 'comment_semicolon', message: /ssh:\/\/old/, fix: /7s/ },
  ])
})

t.test('reads pitfalls and settings from files', async t => {
  const files: Readonly<Record<string, string>> = {
    '/etc/nix/nix.conf':
      'builders = @/etc/nix/machines\nbuilders-use-substitutes = false\n!include x.conf\n',
    '/etc/nix/machines': `${good}\n# old ; ssh://old # gone\n  # indented\n`,
  }
  const active = (version: string) =>
    readActiveBuilders({
      run: async ({ args }) => ({
        code: args.includes('--version') ? 0 : 1,
        signal: null,
        stdout: `nix (Nix) ${version}\n`,
        stderr: '',
        truncated: false,
        spawnError: null,
        aborted: false,
      }),
      readFile: async path => {
        const text = files[path]
        if (text === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' })
        return text
      },
      env: {},
      arch: 'x64',
      platform: 'linux',
      signal: new AbortController().signal,
    })
  const { nix } = await active('2.26.3')
  t.same(nix.configFiles, ['/etc/nix/nix.conf', '/etc/nix/x.conf'])
  t.match(lint({ builders: [], nix }), [
    { rule: 'comment_semicolon', message: /'ssh:\/\/old'.*machines:2/ },
    { rule: 'blank_line', message: /machines:3/ },
  ])
  t.match(nix.settings, {
    'builders-use-substitutes': {
      value: 'false',
      origin: { file: '/etc/nix/nix.conf', line: 2 },
    },
  })
  t.same((await active('2.34.8')).nix.syntaxPitfalls, [], 'the new grammar has none')
})

t.test('reports a machine that is listed twice', async t => {
  const two = (a: string, b: string) =>
    lint({
      builders: [read(a, '2.34.8', {}, 1), read(b, '2.34.8', {}, 2)],
      nix: local(),
    })
  t.match(two(good, good), [
    { builder: 'm2', rule: 'duplicate_machine', message: /machines:2.*machines:1/ },
  ])
  t.match(two(good, good.replace('ssh-ng', 'ssh')), [{ message: /up to 8 builds/ }])
  t.same(two(good, good.replace('x86_64', 'aarch64')), [], 'other systems')
  t.same(two(good, good.replace('@b1', '@b1:2222')), [], 'another port')
  t.same(two(good, good.replace('nix@', 'other@')), [], 'another account')
})

t.test('reports mandatory features that exclude ordinary builds', async t => {
  const mandatory = good.replace(' kvm - ', ' kvm gpu ')
  const open = good.replace(' kvm gpu ', ' kvm,gpu - ')
  t.match(lintLine(mandatory), [
    { rule: 'mandatory_hides', fix: good.replace(' kvm - ', ' kvm,gpu - ') },
  ])
  const withOrdinary = (outcomes: Outcomes) =>
    lint({
      builders: [
        read(open.replaceAll('b1', 'b2'), '2.34.8', {}, 1),
        read(mandatory, '2.34.8', outcomes, 2),
      ],
      nix: local(),
    })
  t.same(withOrdinary({}), [], 'a special machine next to an ordinary one is valid')
  t.match(withOrdinary({ system: { ...system, missingFeatures: ['gpu'] } }), [
    {
      builder: 'm2',
      message: /refuses those that require gpu/,
      fix: good,
    },
  ])
})

t.test('edits one field of a line', async t => {
  t.equal(editMachine({ line: 'ssh://a' }, { 4: '2' }), 'ssh://a - - 2')
  t.equal(editMachine({ line: 'ssh://a  x\t- 1' }, { 1: 'ssh://b' }), 'ssh://b x - 1')
})

t.test('lints a thousand builders quickly', async t => {
  const outcomes = { login: { hostKey }, system, disk, memory }
  const builders = Array.from({ length: 1000 }, (_, i) =>
    read(good.replace('b1', `h${i}`), '2.34.8', outcomes, i),
  )
  const started = process.cpuUsage()
  t.same(rules(lint({ builders, nix: local() })), [])
  const { user } = process.cpuUsage(started)
  t.ok(user < 300_000, `${user / 1000} ms`)
})

t.test('offers the line that was meant, and no other finding about it', async t => {
  const table: readonly (readonly [written: string, meant: string])[] = [
    [
      'ssh-ng://ssh-ng://nix@b1 x86_64-linux /key 4',
      'ssh-ng://nix@b1 x86_64-linux /key 4',
    ],
    ['ssh-ng://nix@b1 /key 4', 'ssh-ng://nix@b1 x86_64-linux /key 4'],
  ]
  for (const [written, meant] of table)
    for (const version of ['2.8.0', '2.34.0'])
      t.match(
        lint({
          builders: [read(written, version)],
          nix: { version, system: 'x86_64-linux' },
        }).filter(({ builder }) => builder !== undefined),
        [{ rule: 'fields_shifted', fix: meant }],
        `${written}, ${version}`,
      )
})

t.test('offers the timeouts that ssh lacks, once for all builders', async t => {
  const hosts = ['b1', 'b2', 'b3', 'b4', 'a;b']
  const builders = hosts.map((host, i) => read(good.replace('b1', host), '2.34.8', {}, i))
  const timeouts = (
    connectTimeout: number | null,
    serverAliveInterval: number | null,
    change = {},
  ) => ({
    user: 'root',
    isEnvironmentKnown: true,
    builders: builders.map(({ builder: { name } }, i) => ({
      builder: name,
      connectTimeout: i === 1 ? 20 : connectTimeout,
      serverAliveInterval,
    })),
    ...change,
  })
  const found = (sshTimeouts: ReturnType<typeof timeouts> | undefined) =>
    lint({ builders, nix: local(), sshTimeouts })
  t.same(found(undefined), [])
  t.same(found(timeouts(10, 5)), [])
  const [connect, keepalive, ...more] = found(timeouts(null, null))
  t.same(more, [])
  t.match(connect, {
    rule: 'no_connect_timeout',
    builder: undefined,
    message:
      /^ssh of root has no ConnectTimeout for b1, b3, b4: .* at the beginning of \/etc\/ssh\/ssh_config$/,
    fix: 'Host b1 b3 b4\n  ConnectTimeout 10',
  })
  t.match(keepalive, {
    rule: 'no_keepalive',
    message: /for b1, b2, b3 and 1 more: /,
    fix: 'Host b1 b2 b3 b4\n  ServerAliveInterval 5\n  ServerAliveCountMax 2',
  })
  t.match(
    found(timeouts(null, 5, { user: 'nixd', isEnvironmentKnown: false }))[0]?.message,
    /^ssh of nixd .*, unless NIX_SSHOPTS of nix-daemon has it: .* ~nixd\/\.ssh\/config$/,
  )
})
