/** Advice about the configuration: each rule where it holds, beside where it must be silent. */
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

type Told = { readonly [P in ProbeName]?: Outcome<unknown> | object }

/** Records whose newest attempt said this; a bare value is a good one. */
const recordsOf = (told: Told): ProbeRecords =>
  Object.fromEntries(
    Object.entries(told).map(([probe, said]) => {
      const outcome = ('status' in said ? said : { status: 'ok', value: said }) as Outcome
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

/** A builder read from its line by this Nix. */
const read = (line: string, version: string, told: Told = {}, at = 1): BuilderState => {
  const { machine } = parseMachine(line, dialectOf(version), 'x86_64-linux')
  if (!machine) throw new Error(`no machine: ${line}`)
  const builder: Builder = {
    ...machine,
    name: `m${at}`,
    origin: { file: '/etc/nix/machines', line: at },
  }
  return { builder, probes: recordsOf(told) } as BuilderState
}

const local = (change: Partial<LocalNix> = {}): LocalNix => ({
  version: '2.34.8',
  system: 'x86_64-linux',
  settings: {},
  ...change,
})

const good = 'ssh-ng://nix@b1 x86_64-linux /key 4 1 kvm - c3NoLWVkMjU1MTkgQUFBQQo='

/** Findings of one line, without those about the rest. */
const one = (line: string, told: Told = {}, nix: LocalNix = local()) =>
  lint({ builders: [read(line, nix.version ?? '2.34.8', told)], nix })

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

t.test('a good line and a good builder give no finding', async t => {
  const told = { login: { hostKey }, system, disk, memory }
  t.same(one(good, told), [])
  t.same(one(good), [], 'and nothing that was not measured')
})

t.test('offers the whole line with the host key that was seen and verified', async t => {
  const line = 'ssh-ng://nix@b1 x86_64-linux /key 4'
  const [found] = one(line, { login: { hostKey } })
  t.match(found, { builder: 'm1', rule: 'host_key_unpinned', message: /known_hosts/ })
  t.equal(
    found?.fix,
    `ssh-ng://nix@b1 x86_64-linux /key 4 - - - ${Buffer.from('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFxx\n').toString('base64')}`,
  )
  const { machine } = parseMachine(found?.fix ?? '', dialectOf('2.34.8'), 'x86_64-linux')
  t.match(machine, { maxJobs: 4, speedFactor: 1, sshKey: '/key' }, 'Nix reads it')

  t.same(one(line, { login: { hostKey: { ...hostKey, verifiedBy: 'none' } } }), [])
  t.same(one(line, { login: { hostKey: { ...hostKey, hostKeyName: 'b1.example' } } }), [])
  t.same(one(line, { login: { hostKey: null } }), [], 'a key that only ssh saw')
  t.same(one(line), [], 'no login yet')
})

t.test('an alias with a pinned key wants a HostKeyAlias', async t => {
  const login = (detail: string) => ({
    login: {
      status: 'failed',
      kind: 'host_key_unknown',
      params: { knownAs: '10.0.0.1', detail },
    },
  })
  t.match(one(good, login('field 8 pins a key for b1, but ssh looks for 10.0.0.1')), [
    { rule: 'host_key_alias', fix: 'Host b1\n  HostKeyAlias b1' },
  ])
  t.same(one(good, login('it shows ssh-ed25519 SHA256:abc')), [])
})

t.test('a port that this Nix ignores', async t => {
  const line = good.replace('@b1', '@b1:2222')
  const found = (version: string) => one(line, {}, local({ version }))
  t.match(found('2.26.3'), [{ rule: 'port_ignored', fix: good }])
  t.match(found('2.93.0'), [
    { rule: 'port_ignored', fix: good.replace('@b1', '@b1?port=2222') },
  ])
  t.same(found('2.34.8'), [])
  t.same(one(good.replace('@b1', '@[fe80::1]'), {}, local({ version: '2.26.3' })), [])
})

t.test('slots: none, and more than the builder has', async t => {
  t.match(one(good.replace(' 4 ', ' 0 '), { system }), [
    { rule: 'max_jobs_zero', fix: good },
  ])
  t.same(
    one(good.replace(' 4 ', ' 8 '), { system: { ...system, maxJobs: 1 } }),
    [],
    'max-jobs over there counts by connection and limits nothing',
  )
  t.match(one(good, { system: { ...system, buildUsers: 2 } }), [
    {
      rule: 'max_jobs_above_build_users',
      message: /it has 2 build users/,
      fix: good.replace(' 4 ', ' 2 '),
    },
  ])
  t.same(one(good, { system: { ...system, maxJobs: null, buildUsers: null } }), [])
  t.same(one(good, { system: { ...system, maxJobs: 0 } }), [], 'never advises 0')
})

t.test('min-free and max-free of the builder', async t => {
  const found = (change: object) => one(good, { system: { ...system, ...change }, disk })
  t.match(found({ minFree: 0 }), [
    { rule: 'min_free_off', fix: 'min-free = 10737418240\nmax-free = 32212254720' },
  ])
  t.match(found({ minFree: 10 * 2 ** 20, maxFree: 200 * 2 ** 20 }), [
    { rule: 'min_free_tiny', message: /10 MiB/ },
  ])
  t.match(found({ maxFree: 5 * gib }), [
    { rule: 'max_free_below_min_free', fix: `max-free = ${15 * gib}` },
  ])
  t.same(found({ minFree: null }), [], 'not told')
  t.same(found({ minFree: gib, maxFree: 2 ** 63 }), [])
  const small = { store: { sizeBytes: gib / 4 } }
  t.same(one(good, { system: { ...system, minFree: 32 * 2 ** 20 }, disk: small }), [])
})

t.test('memory limits of nix-daemon, and who escapes them', async t => {
  const root = good.replace('nix@', 'root@')
  const noLimit = { ...memory, daemonLimitBytes: null }
  t.match(one(root, { memory }), [
    { rule: 'root_login', fix: good.replace('nix@', 'remotebuild@') },
  ])
  t.match(one(good, { memory: noLimit }), [
    { rule: 'memory_max_unset', fix: '[Service]\nMemoryMax=90%' },
  ])
  t.same(one(good, { memory: { daemonBytes: null, daemonLimitBytes: null } }), [])
})

t.test('a slash makes a directory of a host', async t => {
  const rest = good.slice(good.indexOf(' '))
  t.match(one(`b1/${rest}`), [{ rule: 'slash_in_host', fix: `ssh-ng://b1${rest}` }])
  t.same(one(`/srv/store${rest}`), [], 'a path is meant')
  t.same(one(`./store${rest}`), [])
  t.match(one(good.replace('@b1', '@b1/x'), {}, local({ version: '2.26.3' })), [
    { rule: 'slash_in_host', fix: good },
  ])
  t.same(
    one(good.replace('@b1', '@b1?remote-store=/srv/x'), {}, local({ version: '2.26.3' })),
    [],
  )
})

t.test('settings of this machine', async t => {
  const set = (name: string, value: string, version = '2.34.8') =>
    local({
      version,
      settings: { [name]: { value, origin: { file: '/etc/nix/nix.conf', line: 3 } } },
    })
  t.match(one(good, {}, set('builders-use-substitutes', 'false')), [
    { rule: 'builders_use_substitutes', fix: 'builders-use-substitutes = true' },
  ])
  t.same(one(good, {}, set('builders-use-substitutes', 'yes')), [])
  t.same(
    lint({ builders: [], nix: set('builders-use-substitutes', 'false') }),
    [],
    'without builders it does not matter',
  )
  t.match(one(good, {}, set('min-free', '1G', '2.8.0')), [
    { rule: 'size_suffix', message: /nix\.conf:3/, fix: 'min-free = 1073741824' },
  ])
  t.same(one(good, {}, set('min-free', '1G')), [])
  t.same(one(good, {}, set('min-free', '1000', '2.8.0')), [])
})

t.test('what the old grammar makes of blanks and comments', async t => {
  const origin = { file: '/etc/nix/machines', line: 7 }
  const syntaxPitfalls = [
    { ...origin, kind: 'blank' as const, text: '' },
    { ...origin, kind: 'comment' as const, text: 'ssh://old' },
  ]
  t.match(one(good, {}, local({ version: '2.26.3', syntaxPitfalls })), [
    { rule: 'blank_line', message: /machines:7/, fix: /7s/ },
    { rule: 'comment_semicolon', message: /ssh:\/\/old/, fix: /7s/ },
  ])
})

t.test('traps and settings come out of the files', async t => {
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

t.test('the same machine twice', async t => {
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

t.test('mandatory features that hide a machine', async t => {
  const mandatory = good.replace(' kvm - ', ' kvm gpu ')
  const open = good.replace(' kvm gpu ', ' kvm,gpu - ')
  t.match(one(mandatory), [
    { rule: 'mandatory_hides', fix: good.replace(' kvm - ', ' kvm,gpu - ') },
  ])
  const beside = (told: Told) =>
    lint({
      builders: [
        read(open.replaceAll('b1', 'b2'), '2.34.8', {}, 1),
        read(mandatory, '2.34.8', told, 2),
      ],
      nix: local(),
    })
  t.same(beside({}), [], 'a special machine beside an ordinary one is no fault')
  t.match(beside({ system: { ...system, missingFeatures: ['gpu'] } }), [
    {
      builder: 'm2',
      message: /refuses those that require gpu/,
      fix: good,
    },
  ])
})

t.test('writes one field of a line', async t => {
  t.equal(editMachine({ line: 'ssh://a' }, { 4: '2' }), 'ssh://a - - 2')
  t.equal(editMachine({ line: 'ssh://a  x\t- 1' }, { 1: 'ssh://b' }), 'ssh://b x - 1')
})

t.test('a thousand builders take little time', async t => {
  const told = { login: { hostKey }, system, disk, memory }
  const builders = Array.from({ length: 1000 }, (_, i) =>
    read(good.replace('b1', `h${i}`), '2.34.8', told, i),
  )
  const started = process.cpuUsage()
  t.same(rules(lint({ builders, nix: local() })), [])
  const { user } = process.cpuUsage(started)
  t.ok(user < 300_000, `${user / 1000} ms`)
})
