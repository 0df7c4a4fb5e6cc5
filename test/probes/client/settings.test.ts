/** Checks of what the settings of this machine do to a build. */
import t from 'tap'
import {
  type ActiveBuilders,
  type AskSubstituter,
  type LocalCheck,
  type LocalDaemon,
  type Run,
  type RunRequest,
  type RunResult,
} from '../../../src/model/index.ts'
import { createCheckClient } from '../../../src/probes/client/checks.ts'
import { localSystem, type LocalSystem } from '../../../src/probes/client/local-system.ts'
import { createRun } from '../../../src/transport/run.ts'
import { aBuilder } from '../../support/builders.ts'

const executable = 0o100755
const directory = 0o040755

interface Played {
  readonly uid?: number
  /** Mode of each path that exists. */
  readonly files?: Readonly<Record<string, number>>
  readonly starts?: Readonly<Record<string, string>>
  readonly groups?: string
  readonly settings?: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  readonly builders?: ActiveBuilders['builders']
  readonly daemon?: LocalDaemon
  readonly version?: string
  readonly canWrite?: boolean
  readonly run?: Run
  readonly askSubstituter?: AskSubstituter
  readonly system?: Partial<LocalSystem>
}

const answered = (stderr: string, change: Partial<RunResult> = {}): RunResult => ({
  code: 1,
  signal: null,
  stdout: '',
  stderr,
  truncated: false,
  spawnError: null,
  aborted: false,
  ...change,
})
const refused =
  'Failed to find a machine for remote build!\nerror: unable to start any build'

const check = async (name: LocalCheck, played: Played) => {
  const { files = {}, starts = {}, settings = {} } = played
  const system: LocalSystem = {
    ...localSystem,
    uid: played.uid ?? 0,
    hasNetwork: () => true,
    daemon: async () => null,
    stat: async path =>
      path in files ? { mode: files[path] ?? 0, uid: 0, mtime: 1, ctime: 1 } : null,
    canWrite: async () => played.canWrite ?? true,
    readText: async () => played.groups ?? 'root:x:0:\nnixbld:x:9:\n',
    readStart: async path => starts[path] ?? null,
    realPath: async path => path,
    ...played.system,
  }
  const { checks } = await createCheckClient({
    localSystem: system,
    env: played.env ?? {},
    askLocalDaemon: async () =>
      played.daemon ?? { answers: true, trusted: true, version: '2.34.8' },
    clock: { now: () => 0, monotonic: () => 0, sleep: async () => undefined },
    run: played.run ?? (async () => answered(refused)),
    askSubstituter: played.askSubstituter ?? (async () => ({ status: 'answers' })),
  })(
    {
      source: 'nix',
      builders: played.builders ?? [aBuilder()],
      problems: [],
      files: [],
      nix: {
        version: played.version ?? '2.34.8',
        system: 'x86_64-linux',
        settings: Object.fromEntries(
          Object.entries(settings).map(([key, value]) => [
            key,
            { value, origin: { file: '/etc/nix/nix.conf', line: 7 } },
          ]),
        ),
      },
    },
    new AbortController().signal,
  )
  return checks[name]
}

t.test('reports settings that make every build fail, with their place', async t => {
  const failed = async (name: string, value: string, played: Played, detail: RegExp) =>
    t.match(
      await check('settings', { ...played, settings: { [name]: value } }),
      {
        status: 'failed',
        kind: 'setting_broken',
        params: { setting: name, detail, where: '/etc/nix/nix.conf:7' },
      },
      `${name} = ${value}`,
    )
  await failed('plugin-files', '/p.so', {}, /p\.so does not exist/)
  await failed('build-hook', '', {}, /empty/)
  await failed('build-hook', '/h __build-remote', {}, /^\/h does not exist/)
  await failed(
    'build-hook',
    '/h x',
    { version: '2.8.0', files: { '/h': executable } },
    /one path/,
  )
  await failed('store', 'daemon', {}, /its own lock/)
  await failed('substituters', 'https://a nonsense', {}, /nonsense is no store/)
  await failed('max-build-log-size', '1', {}, /more than 1 B/)
  const serve = [aBuilder({ scheme: 'ssh' })]
  await failed('repeat', '2', { builders: serve }, /ssh:\/\/ refuse/)
  const hook = (mode: number, start = ''): Played => ({
    files: { '/h': mode, '/bin/sh': executable, '/usr/bin/env': executable },
    starts: { '/h': start },
  })
  await failed('post-build-hook', '/h', {}, /\/h does not exist/)
  await failed('post-build-hook', 'h', {}, /not an absolute path/)
  await failed('post-build-hook', '/h arg', hook(executable), /without arguments/)
  await failed('post-build-hook', '/h', hook(directory), /not a file/)
  await failed('post-build-hook', '/h', hook(0o100644), /not executable/)
  await failed(
    'post-build-hook',
    '/h',
    hook(executable, '#!/no/sh\n'),
    /interpreter \/no\/sh/,
  )
  await failed('post-build-hook', '/h', hook(executable, '#!/bin/sh\r\n'), /CR LF/)
  await failed('post-build-hook', '/h', hook(executable, '#! /usr/bin/env foo\n'), /foo/)
  t.match(
    await check('settings', {
      ...hook(executable, '#!/bin/sh\n'),
      settings: { 'post-build-hook': '/h' },
    }),
    { status: 'ok' },
  )
})

/** A script as post-build-hook, read by the shells of this machine. */
const checkHookScript = (text: string, system: Partial<LocalSystem> = {}) =>
  check('settings', {
    files: {
      '/h': executable,
      '/bin/sh': executable,
      '/bin/bash': executable,
      '/usr/bin/env': executable,
      '/usr/bin/nix': executable,
      '/usr/bin/python3': executable,
      '/usr/bin/bash': executable,
    },
    starts: { '/h': text },
    settings: { 'post-build-hook': '/h' },
    run: createRun(),
    system: {
      daemon: async () => ({
        pid: 1,
        uid: 0,
        startedAt: 0,
        path: '/usr/bin:/bin',
        env: null,
      }),
      ...system,
    },
  })

t.test('reports a post-build-hook that fails whenever it runs', async t => {
  const failed = async (text: string, detail: RegExp) =>
    t.match(
      await checkHookScript(text),
      { status: 'failed', kind: 'setting_broken', params: { detail } },
      JSON.stringify(text),
    )
  await failed('#!/bin/sh\nexit 1\n', /always fails: line 2 is exit 1/)
  await failed('exit 7 # off\n', /always fails: line 1/)
  await failed('#!/bin/sh\nif true\n', /syntax error: .*(?:then|end of file)/)
  await failed('#!/bin/bash\nif true; then\nexit 0\n', /syntax error/)
  await failed('#!/usr/bin/env bash\necho "a\n', /syntax error/)
  await failed('#!/bin/sh\nset -eu\nnosuch -x "$OUT_PATHS"\n', /runs nosuch in line 3/)
  await failed('#!/bin/sh -e\n/no/such\necho\n', /\/no\/such in line 2, which does not/)
  await failed('#!/bin/sh\nexec nosuch "$@"\n', /runs nosuch/)
  await failed('#!/bin/sh\necho\nnosuch\n\n', /runs nosuch in line 3/)
})

t.test('does not report a post-build-hook that can succeed', async t => {
  for (const text of [
    '',
    'echo ok\n',
    '#!/bin/sh\nset -e\nnix copy --to s3://x $OUT_PATHS\n',
    '#!/bin/sh\nexit 0\n(((\nexit 1\n',
    '#!/bin/sh\nif test -z "$OUT_PATHS"; then\nexit 1\nfi\necho\n',
    '#!/bin/sh\nset -e\nnosuch || true\necho "\nnosuch\n"\n',
    '#!/bin/sh\nset -e\nPATH=/opt/bin:$PATH\nnosuch\n',
    '#!/bin/sh\nset -e\nif false; then\nnosuch\nfi\n',
    '#!/bin/sh\nset -e\nnosuch() { :; }\nnosuch\n',
    '#!/bin/sh\nnosuch\ntrue\n',
    '#!/bin/sh\ncat <<X\nexit 1\nX\n',
    '#!/bin/bash\nshopt -s extglob\ncase a in !(b|c)) ;; esac\n',
    '#!/usr/bin/python3\nexit 1 (((\n',
    '#!/bin/sh\n# ' + 'x'.repeat(70_000) + '\nexit 1\n',
  ])
    t.match(
      await checkHookScript(text),
      { status: 'ok' },
      JSON.stringify(text.slice(0, 99)),
    )
})

t.test('reports a post-build-hook that the kernel does not execute', async t => {
  const elf = (machine: number, loader = '') => {
    const file = Buffer.alloc(256)
    file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
    file.writeUInt16LE(machine, 18)
    file.writeBigUInt64LE(64n, 32)
    file.writeUInt16LE(56, 54)
    file.writeUInt16LE(1, 56)
    file.writeUInt32LE(loader ? 3 : 1, 64)
    file.writeBigUInt64LE(128n, 72)
    file.writeBigUInt64LE(BigInt(loader.length + 1), 96)
    file.write(loader, 128)
    return file.toString('latin1')
  }
  const own = process.arch === 'arm64' ? 0xb7 : 0x3e
  t.match(await checkHookScript(elf(0xf3)), {
    params: { detail: /another architecture/ },
  })
  t.match(await checkHookScript(elf(own, '/no/ld.so')), {
    params: { detail: /loader \/no\/ld\.so, which does not exist/ },
  })
  t.match(await checkHookScript(elf(own, '/bin/sh')), { status: 'ok' })
  const mounts = { readText: async () => 'a / x rw 0 0\nb /data x rw,noexec 0 0\n' }
  const at = (path: string) =>
    checkHookScript('#!/bin/sh\n', { ...mounts, realPath: async () => path })
  t.match(await at('/data/h'), { params: { detail: /on \/data, .* noexec/ } })
  t.match(await at('/database/h'), { status: 'ok' })
  t.match(await at('/bin/false'), { params: { detail: /always fails/ } })
})

t.test('reports settings that break only some builds without failing', async t => {
  const degraded = async (
    kind: string,
    name: string,
    value: string,
    played: Played = {},
  ) =>
    t.match(
      await check('settings', { ...played, settings: { [name]: value } }),
      { status: 'degraded', kind, params: { setting: name } },
      `${name} = ${value}`,
    )
  await degraded('setting_limits', 'max-build-log-size', '10000')
  await degraded('setting_limits', 'timeout', '5')
  await degraded('setting_limits', 'max-silent-time', '59')
  await degraded('local_builds_broken', 'secret-key-files', '/k')
  await degraded('local_builds_broken', 'build-users-group', 'nosuch')
  await degraded('local_builds_broken', 'trusted-public-keys', 'a:b')
  const usual = {
    timeout: '3600',
    'max-silent-time': '0',
    'max-build-log-size': '0',
    'build-users-group': 'nixbld',
    store: 'auto',
    repeat: '0',
    'build-hook': 'nix __build-remote',
    'trusted-public-keys':
      'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=',
    substituters: 'https://cache.nixos.org/ file:///cache s3://x',
  }
  t.match(await check('settings', { settings: usual }), { status: 'ok' })
})

t.test(
  'reports another store directory and a log directory that is not writable',
  async t => {
    t.match(await check('settings', { env: { NIX_STORE_DIR: '/odd/store' } }), {
      status: 'failed',
      kind: 'store_elsewhere',
      params: { path: '/odd/store' },
    })
    t.match(await check('settings', { env: { NIX_STORE_DIR: '/nix/store' } }), {
      status: 'ok',
    })
    t.match(await check('settings', { canWrite: false }), {
      status: 'failed',
      kind: 'build_not_started',
      params: { detail: /\/nix\/var\/log\/nix for build logs/ },
    })
    t.match(await check('settings', { canWrite: false, uid: 1000 }), { status: 'ok' })
  },
)

t.test(
  'starts a build that the hook must refuse, and again through the daemon',
  async t => {
    const requests: RunRequest[] = []
    const hook = (result: RunResult, played: Played = {}) =>
      check('hook', {
        run: async request => {
          // systemd and the passwd database are asked by another check
          if (request.file === 'nix-build') requests.push(request)
          return result
        },
        ...played,
      })
    t.match(await hook(answered(refused)), { status: 'ok' })
    t.match(requests, [
      { file: 'nix-build', env: { TMPDIR: undefined } },
      { env: { NIX_REMOTE: 'daemon' } },
    ])
    t.equal(requests[0]?.env?.['NIX_CONFIG'], undefined, "with the user's own settings")
    requests.length = 0
    t.match(await hook(answered(refused), { uid: 1000 }), { status: 'ok' })
    t.equal(requests.length, 1, 'builds of other users go through the daemon anyway')
    const failed = async (stderr: string, detail: RegExp) =>
      t.match(await hook(answered(stderr)), {
        status: 'failed',
        kind: 'build_not_started',
        params: { detail },
      })
    await failed(
      'this derivation will be built:\nbuild hook died unexpectedly: error: executing "/x": No such file or directory\nerror: Cannot build \'/nix/store/H-t.drv\'.\n  Reason: local builds are disabled',
      /^executing "\/x"/,
    )
    await failed(
      'this derivation will be built:\nerror:\n  … while reading the response from the build hook\n\n  error: unexpected EOF reading a line',
      /^the build hook ended without a reply$/,
    )
    await failed(
      "error: executing SQLite statement 'pragma': unable to open database file\nerror:\n   error: unexpected EOF reading a line",
      /^executing SQLite/,
    )
    await failed(
      "error: Cannot build '/nix/store/H-t.drv'.\n  Reason: local builds are disabled (max-jobs = 0)",
      /^Nix asks no builder/,
    )
    t.match(
      await hook(answered('error: unable to start any build; either increase', {})),
      { status: 'ok' },
      'older versions do not say that the hook refused',
    )
    t.match(await hook(answered('', { aborted: true, code: null })), {
      status: 'degraded',
      kind: 'build_not_started',
    })
    t.match(
      await hook(
        answered('waiting for the big garbage collector lock...', { aborted: true }),
      ),
      { status: 'skipped', kind: 'gc_wait' },
    )
    t.match(await hook(answered(refused), { builders: [] }), { status: 'skipped' })
  },
)

t.test('shows no secret of an error message', async t => {
  const outcome = await check('hook', {
    run: async () => answered('error: setting access-tokens = github.com=hunter22 x'),
  })
  t.notMatch(JSON.stringify(outcome), 'hunter22')
})

t.test('asks each binary cache, a slow one twice, and estimates the wait', async t => {
  const asked: [string, number][] = []
  const substituters = (
    answer: Awaited<ReturnType<AskSubstituter>>,
    settings: Readonly<Record<string, string>> = {},
    played: Played = {},
  ) => {
    asked.length = 0
    return check('substituters', {
      settings: { substituters: 'http://u:pass@a/x?y file:///c', ...settings },
      askSubstituter: async (url, timeoutMs) => {
        asked.push([url.host, timeoutMs])
        return answer
      },
      ...played,
    })
  }
  t.match(await substituters({ status: 'answers' }), { status: 'ok' })
  t.same(asked, [['a', 3000]])
  const hangs = { status: 'hangs', isConnected: false } as const
  const slow = await substituters(hangs, { 'connect-timeout': '2' })
  t.match(slow, {
    status: 'degraded',
    kind: 'substituter_unreachable',
    params: { uri: 'http://a/x', seconds: '14', where: '/etc/nix/nix.conf:7' },
  })
  t.equal(asked.length, 2)
  t.match(await substituters(hangs), { status: 'failed', params: { seconds: '1504' } })
  t.match(
    await substituters(
      { status: 'hangs', isConnected: true },
      { 'connect-timeout': '2' },
    ),
    {
      status: 'failed',
      params: { detail: /sends nothing/ },
    },
  )
  t.match(await substituters({ status: 'fails', code: 'ECONNREFUSED', seconds: 0 }), {
    status: 'degraded',
    params: { seconds: '4' },
  })
  t.match(await substituters(hangs, { substitute: 'false' }), { status: 'ok' })
  t.match(await substituters(hangs, {}, { env: { https_proxy: 'http://p' } }), {
    status: 'skipped',
  })
})

t.test('an ssh substituter that does not answer ends every build', async t => {
  const ask = (answer: Awaited<ReturnType<AskSubstituter>>, env = {}) =>
    check('substituters', {
      env,
      settings: { substituters: 'https://cache ssh-ng://u@far:1?x=y' },
      askSubstituter: async url =>
        url.protocol === 'ssh-ng:' ? answer : { status: 'answers' },
    })
  const refused = { status: 'fails', code: 'ECONNREFUSED', seconds: 0 } as const
  const expected = {
    status: 'failed',
    kind: 'setting_broken',
    params: {
      setting: 'substituters',
      detail: /^ssh-ng:\/\/far:1: /,
      where: '/etc/nix/nix.conf:7',
    },
  }
  t.match(await ask(refused), expected)
  t.match(await ask(refused, { https_proxy: 'http://p' }), expected)
  t.match(await ask({ status: 'answers' }), { status: 'ok' })
})

t.test('reports a list without a line for ordinary builds', async t => {
  const capacity = (change: Parameters<typeof aBuilder>[0], maxJobs = '1') =>
    check('capacity', {
      builders: [aBuilder(change)],
      settings: { 'max-jobs': maxJobs },
    })
  t.match(await capacity({}), { status: 'ok' })
  t.match(await capacity({ systems: [] }), { status: 'ok' })
  t.match(await capacity({ maxJobs: 0 }), {
    status: 'degraded',
    kind: 'no_plain_builder',
  })
  t.match(await capacity({ mandatoryFeatures: ['kvm'] }), {
    status: 'degraded',
    params: { detail: /mandatory/ },
  })
  t.match(await capacity({ systems: ['aarch64-linux'] }), { status: 'ok' })
  t.match(await capacity({ systems: ['aarch64-linux'] }, '0'), {
    status: 'failed',
    kind: 'no_plain_builder',
    params: { detail: /other systems than x86_64-linux/ },
  })
  t.match(await capacity({ maxJobs: 0 }, '0'), { status: 'failed' })
})
