import fc from 'fast-check'
import { spawnSync } from 'node:child_process'
import t from 'tap'
import type {
  Builder,
  Outcome,
  ProbeName,
  ProbeValues,
  SystemValue,
  TelemetryContext,
  TelemetryProbe,
} from '../../src/model/index.ts'
import { diskProbe } from '../../src/probes/disk.ts'
import { formatBytes } from '../../src/text/bytes.ts'
import { telemetryProbes } from '../../src/probes/index.ts'
import { locksProbe } from '../../src/probes/locks.ts'
import { memoryProbe } from '../../src/probes/memory.ts'
import { systemProbe } from '../../src/probes/system.ts'
import { splitSections, telemetryScript } from '../../src/probes/telemetry/script.ts'
import { readTelemetry } from '../../src/probes/telemetry/telemetry.ts'
import { aBuilder } from '../support/builders.ts'
import { cgroupV1, cgroupV2, darwin, debian } from './recorded.ts'
import { contextOf, memoryRemote, type FarSide } from './support.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3

interface Known {
  readonly builder?: Partial<Builder>
  readonly last?: { readonly [P in ProbeName]?: Partial<ProbeValues[P]> }
  readonly at?: number
  readonly storeId?: string | null
}

const parse = <P extends ProbeName>(
  probe: TelemetryProbe<P>,
  output: string,
  { builder, last = {}, at = 1795384652, storeId = null }: Known = {},
): Outcome<ProbeValues[P]> => {
  const context: TelemetryContext = {
    builder: aBuilder(builder),
    nix: { version: null, system: '', storeId },
    sentAt: at,
    receivedAt: at + 0.2,
    last: name => (last[name] ?? null) as never,
  }
  return probe.parse(output, context)
}

t.test('parses the system of a Debian builder', async t => {
  const builder = { supportedFeatures: ['big-parallel', 'lab-b3'] }
  t.match(parse(systemProbe, debian.system, { builder }), {
    status: 'ok',
    value: {
      nixVersion: '2.34.8',
      systems: ['x86_64-linux', 'i686-linux', 'x86_64-v1-linux'],
      features: ['benchmark', 'big-parallel', 'lab-b3'],
      maxJobs: 2,
      buildUsers: 10,
      sandbox: 'false',
      cores: 1,
      minFree: 32 * MiB,
      maxFree: 64 * MiB,
      clockOffsetSeconds: 0,
      bootedAt: 1795380636,
      kernel: 'Linux 6.18.44-fc-v669 x86_64',
      missingSystems: [],
      missingFeatures: [],
      notAdvertisedFeatures: ['benchmark'],
    },
  })
})

t.test('recognizes the store of this machine behind a builder', async t => {
  const boot = '0c1e0a5f-6f0a-4f2a-9b39-0d5b0c1f2a3b'
  const isOwnStore = (reported: string, storeId: string | null) => {
    const outcome = parse(systemProbe, `${debian.system}\nstore ${reported}`, { storeId })
    return 'value' in outcome ? outcome.value?.isOwnStore : undefined
  }
  t.equal(isOwnStore(`${boot} 66:12`, `${boot} 66:12`), true)
  t.equal(isOwnStore(`${boot} 67:12`, `${boot} 66:12`), false, 'another container')
  t.equal(isOwnStore(`${boot} `, `${boot} `), null, 'half of it says nothing')
  t.equal(isOwnStore(`${boot} 66:12`, null), null)
})

t.test('names what sends Nix on the builder elsewhere', async t => {
  const redirectedBy = (...lines: readonly string[]) => {
    const outcome = parse(systemProbe, [debian.system, ...lines].join('\n'))
    return 'value' in outcome ? outcome.value?.redirectedBy : undefined
  }
  t.strictSame(redirectedBy('set.store auto', 'redirected '), [])
  t.strictSame(redirectedBy('remote ', 'redirected NIX_STATE_DIR '), ['NIX_STATE_DIR'])
  t.strictSame(redirectedBy('remote ', 'set.store daemon'), ['store in nix.conf'])
  t.strictSame(redirectedBy('remote set', 'set.store daemon'), [], 'NIX_REMOTE=daemon')
})

const locked = `== clock
now 1795384652
btime 1795380636
== files
74 9 /nix/var/nix/gc.lock
74 20 /nix/var/nix/userpool/997
74 21 /nix/var/nix/userpool/998
== mounts
217 210 0:74 / /nix rw,relatime - tmpfs nix rw,size=262144k
== locks
1: FLOCK  ADVISORY  WRITE 26 00:4a:20 0 EOF
2: FLOCK  ADVISORY  WRITE 25 00:4a:9 0 EOF
3: -> FLOCK  ADVISORY  WRITE 27 00:4a:21 0 EOF
4: FLOCK  ADVISORY  WRITE 28 00:4b:21 0 EOF
== process 25
stat 25 (nix) store) S 1 25 25 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 301600 0
args nix-store --gc 
`

t.test('parses the locks of the store and of its database', async t => {
  const withLock = (file: string, lock: string) =>
    locked
      .replace('== mounts', `74 12 /nix/var/nix/db/${file}\n== mounts`)
      .replace('== process', `5: ${lock} WRITE 25 00:4a:12 0 EOF\n== process`)
  const holderOf = (text: string) =>
    (parse(locksProbe, text) as { value: { storeLockHolder: unknown } }).value
      .storeLockHolder
  const holder = { pid: 25, program: 'nix-store --gc', runtimeSeconds: 1000 }
  t.same(holderOf(withLock('big-lock', 'FLOCK  ADVISORY ')), {
    ...holder,
    path: '/nix/var/nix/db/big-lock',
  })
  t.match(holderOf(withLock('db.sqlite-shm', 'POSIX  ADVISORY ')), holder)
  t.match(holderOf(withLock('db.sqlite', 'POSIX  ADVISORY ')), holder)
  t.equal(holderOf(withLock('big-lock', '-> FLOCK  ADVISORY ')), null, 'only waits')
  t.equal(holderOf(withLock('big-lock', 'POSIX  ADVISORY ')), null, 'Nix uses flock')
})

t.test('parses locks of the garbage collector and build users', async t => {
  const last = { system: { buildUsers: 10 } }
  t.same(parse(locksProbe, locked, { last }), {
    status: 'ok',
    value: {
      at: 1795384652.2,
      gcLockHolder: {
        pid: 25,
        program: 'nix-store --gc',
        runtimeSeconds: 1000,
        since: 1795384652.2,
      },
      storeLockHolder: null,
      buildUsersInUse: 1,
      buildUsers: 10,
    },
  })
  const before = { pid: 25, program: null, runtimeSeconds: null, since: 5 }
  const again = (gcLockHolder: typeof before) =>
    parse(locksProbe, locked, { last: { locks: { gcLockHolder } } })
  t.match(again(before), { value: { gcLockHolder: { since: 5 }, buildUsers: null } })
  t.match(again({ ...before, pid: 24 }), {
    value: { gcLockHolder: { since: 1795384652.2 } },
  })
  const elsewhere = locked.replace('74 9 /', '75 9 /').replace(' 0:74 ', ' 0:75 ')
  t.match(parse(locksProbe, elsewhere), { value: { gcLockHolder: null } }, 'another disk')
  const slots = locked.replaceAll('userpool/99', 'userpool2/slot-')
  t.match(parse(locksProbe, slots, { last }), {
    value: { buildUsersInUse: 1, buildUsers: null },
  })
  t.match(parse(locksProbe, ''), { status: 'skipped', kind: 'no_data' }, 'Darwin')
})

t.test('max-jobs 0 is degraded', async t => {
  const off = debian.system.replace('max-jobs 2', 'max-jobs 0')
  t.match(parse(systemProbe, off), { status: 'degraded', kind: 'builds_disabled' })
})

t.test('reports advertised systems and features that are missing', async t => {
  const missing = parse(systemProbe, debian.system, {
    builder: { systems: ['x86_64-linux', 'aarch64-linux'] },
  })
  t.match(missing, {
    status: 'degraded',
    kind: 'system_missing',
    params: { missing: 'aarch64-linux', offered: /^x86_64-linux, / },
  })
  t.match(
    parse(systemProbe, debian.system, { builder: { systems: ['riscv64-linux'] } }),
    {
      status: 'failed',
      kind: 'system_missing',
    },
  )
  t.match(
    parse(systemProbe, debian.system, { builder: { mandatoryFeatures: ['kvm'] } }),
    {
      status: 'degraded',
      kind: 'feature_missing',
      params: { missing: 'kvm' },
    },
  )
  t.match(parse(systemProbe, 'time 1\nkernel Linux'), {
    status: 'skipped',
    kind: 'no_data',
  })
})

t.test('parses the system of a Darwin builder', async t => {
  t.match(
    parse(systemProbe, darwin.system, { builder: { systems: ['aarch64-darwin'] } }),
    {
      status: 'ok',
      value: {
        nixVersion: '2.28.3',
        systems: ['aarch64-darwin', 'x86_64-darwin'],
        bootedAt: 1710000000,
        buildUsers: 32,
        minFree: 0,
        maxFree: 2 ** 63,
      },
    },
  )
})

t.test('measures the clock offset within the round trip', async t => {
  const off = (remote: string) => {
    const outcome = parse(systemProbe, `time ${remote}\nset.system x86_64-linux`, {
      at: 1000,
    })
    return 'value' in outcome ? outcome.value?.clockOffsetSeconds : undefined
  }
  t.equal(off('1000'), 0)
  t.equal(off('999'), 0, 'whole seconds')
  t.equal(off('990'), -9)
  t.equal(off('1010'), 1010 - 1000.2)
  t.equal(off('soon'), null)
})

t.test('detects and remembers a reboot by the local clock', async t => {
  const read = (remote: number, boot: number, last: SystemValue | null, at: number) => {
    const outcome = parse(
      systemProbe,
      `time ${remote}\nboot ${boot}\nset.system x86_64-linux`,
      { at, last: last ? { system: last } : {} },
    )
    if (outcome.status !== 'ok') throw new Error(outcome.status)
    return outcome.value
  }
  const first = read(10_000, 5000, null, 10_000)
  t.equal(first.rebootDetectedAt, null, 'the first run has no previous boot time')
  t.equal(read(10_300, 5001, first, 10_300).rebootDetectedAt, null, 'seconds are rounded')
  const stepped = read(13_900, 8600, first, 10_300)
  t.equal(stepped.clockOffsetSeconds, 13_900 - 10_300.2)
  t.equal(stepped.rebootDetectedAt, null, 'the clock was set without a reboot')
  const restarted = read(10_300, 10_200, first, 10_300)
  t.equal(restarted.rebootDetectedAt, 10_300.2)
  const later = read(10_600, 10_200, restarted, 10_600)
  t.equal(later.rebootDetectedAt, 10_300.2, 'noticed once')
  t.equal(read(10_900, 10_800, later, 10_900).rebootDetectedAt, 10_900.2, 'and again')
})

t.test('parses the disk of a Debian builder', async t => {
  t.match(parse(diskProbe, debian.disk), {
    status: 'ok',
    value: {
      store: {
        path: '/nix/store',
        availableBytes: 256 * MiB,
        sizeBytes: 256 * MiB,
        availableInodes: 51190,
      },
      build: { path: '/tmp', availableBytes: 64 * MiB },
      state: { path: '/nix/var/nix' },
      minFree: null,
      belowMinFreeSince: null,
    },
  })
})

t.test('parses the disk of a Darwin builder', async t => {
  t.match(parse(diskProbe, darwin.disk), {
    status: 'ok',
    value: {
      store: {
        path: '/nix/store',
        availableBytes: 312345678 * 1024,
        sizeBytes: 971350180 * 1024,
        availableInodes: 3123456780,
      },
    },
  })
  t.match(
    parse(diskProbe, '== store /nix/store\ninodes /dev/x 1942 107 835 13% 5 6 0% /nix\n'),
    { status: 'skipped' },
    'the blocks of df -i are not space',
  )
})

const disk = (available: number, more = '') =>
  `== store /nix/store\nstatfs ${available} 1000000 4096 90 100\n${more}`

t.test('compares free space with min-free', async t => {
  const last = { system: { minFree: 20 * GiB, maxFree: 40 * GiB } }
  const below = parse(diskProbe, disk(200_000), { last })
  t.match(below, {
    status: 'degraded',
    kind: 'below_min_free',
    params: { available: '781 MiB', minFree: '20.0 GiB', path: '/nix/store' },
    value: { minFree: 20 * GiB, maxFree: 40 * GiB, belowMinFreeSince: 1795384652.2 },
  })
  const since = { ...last, disk: { belowMinFreeSince: 5, minFree: 1 } }
  t.match(parse(diskProbe, disk(200_000), { last: since }), {
    params: { since: '5' },
    value: { belowMinFreeSince: 5 },
  })
  const before = { disk: { minFree: 20 * GiB } }
  t.match(parse(diskProbe, disk(200_000), { last: before }), { kind: 'below_min_free' })
  t.match(parse(diskProbe, disk(200_000), { last: { system: { minFree: 0 } } }), {
    status: 'ok',
  })
})

t.test('reports a full, inode-exhausted or read-only disk', async t => {
  t.match(parse(diskProbe, disk(0)), { status: 'failed', kind: 'disk_full' })
  const fullTmp = '== tmp /tmp\nstatfs 0 9 4096 90000 100000\n'
  const state = '== state /nix/var/nix\nstatfs 500000 900000 4096 90000 100000\n'
  const withNix = (nixVersion: string) =>
    parse(diskProbe, disk(500_000, fullTmp + state), { last: { trust: { nixVersion } } })
  t.match(
    withNix('2.26.3'),
    { status: 'degraded', kind: 'disk_low', params: { path: '/tmp', available: '0 B' } },
    'builds that write nothing there succeed',
  )
  t.match(withNix('2.34.8'), { status: 'ok' }, 'builds in the state directory')
  t.match(withNix('2.95.0'), { kind: 'disk_low' }, 'Lix builds in /tmp')
  t.match(parse(diskProbe, disk(9999, '== state /nix/var/nix\nstatfs 3 9 4096 9 99\n')), {
    status: 'failed',
    kind: 'disk_full',
    params: { path: '/nix/var/nix', detail: '12.0 KiB left on /nix/var/nix' },
  })
  t.match(parse(diskProbe, disk(9999)), {
    status: 'degraded',
    kind: 'disk_low',
    params: { path: '/nix/store', available: '39.1 MiB' },
  })
  t.match(
    parse(
      diskProbe,
      disk(500_000, '== log /nix/var/log/nix\nstatfs 900 99999 4096 90 99\n'),
    ),
    {
      status: 'degraded',
      kind: 'disk_low',
      params: { path: '/nix/var/log/nix' },
    },
  )
  t.match(parse(diskProbe, disk(500_000)), { status: 'ok' })
  t.match(parse(diskProbe, '== store /nix/store\nstatfs 9999 9999 4096 3 999'), {
    status: 'failed',
    kind: 'inodes_full',
  })
  t.match(parse(diskProbe, '== store /nix/store\nstatfs 9999 9999 4096 0 0'), {
    status: 'ok',
  })
  const mounted = (...mounts: string[]) =>
    parse(diskProbe, disk(500_000, ['== mounts', ...mounts, ''].join('\n')))
  t.match(mounted('/dev/a / ext4 ro,relatime 0 0'), { kind: 'store_read_only' })
  t.match(mounted('/dev/a / ext4 rw 0 0', '/dev/b /nix xfs ro 0 0'), {
    kind: 'store_read_only',
  })
  t.match(mounted('/dev/a / ext4 ro 0 0', '/dev/b /nix xfs rw 0 0'), { status: 'ok' })
  t.match(mounted('/dev/a / ext4 rw 0 0', '/dev/a /nix/store ext4 ro 0 0'), {
    status: 'ok',
  })
  t.match(mounted('/dev/a / ext4 rw,errors=remount-ro 0 0'), { status: 'ok' })
})

t.test('parses memory', async t => {
  t.match(parse(memoryProbe, debian.memory), {
    status: 'ok',
    value: {
      availableBytes: 23867200 * 1024,
      sizeBytes: 24684084 * 1024,
      stalledSeconds: 0,
      daemonBytes: null,
      daemonLimitBytes: null,
      daemonOomKills: null,
    },
  })
  t.match(parse(memoryProbe, cgroupV2), {
    value: {
      stalledSeconds: 27.182818,
      load: 3.25,
      daemonBytes: 1_073_741_824 + 4096 + 20_000_000 + 65_536 + 1_048_576,
      daemonLimitBytes: 30_198_988_800,
      daemonOomKills: 3,
    },
  })
  t.match(parse(memoryProbe, cgroupV2.replace('30198988800', 'max')), {
    value: { daemonLimitBytes: null },
  })
  t.match(parse(memoryProbe, cgroupV1), {
    value: {
      // A kernel without MemAvailable
      availableBytes: (1000 + 200 + 3000) * 1024,
      daemonBytes: 524_288_000 + 12_288,
      daemonLimitBytes: 8_589_934_592,
      daemonOomKills: 2,
      stalledSeconds: null,
    },
  })
  t.match(parse(memoryProbe, cgroupV1.replace('8589934592', '9223372036854771712')), {
    value: { daemonLimitBytes: null },
  })
  t.match(parse(memoryProbe, darwin.memory), {
    status: 'ok',
    value: {
      sizeBytes: 17_179_869_184,
      availableBytes: (10345 + 245678 + 1234 + 567) * 16384,
      stalledSeconds: null,
      load: 2.53,
      daemonBytes: null,
    },
  })
  t.match(parse(memoryProbe, ''), { status: 'skipped', kind: 'no_data' })
})

t.test('malicious output gives finite numbers, no exception, no delay', async t => {
  const nines = '9'.repeat(400)
  t.match(parse(diskProbe, `== store /nix/store\nstatfs ${nines} 1 1 1 1`), {
    status: 'skipped',
  })
  t.match(parse(diskProbe, '== store /nix/store\nstatfs 5 0 4096 1 1'), {
    status: 'skipped',
  })
  t.match(parse(diskProbe, '== store /nix/store\nstatfs -5 9 4096 1 1'), {
    status: 'skipped',
  })
  t.match(
    parse(systemProbe, `set.system x\nset.max-jobs ${nines}\nset.min-free ${nines}`),
    {
      value: { maxJobs: null, minFree: null },
    },
  )
  t.match(parse(memoryProbe, `== meminfo\nMemTotal: ${nines} kB`), {
    status: 'skipped',
  })
  const long = [
    `== store /nix/store\n${'inodes %'.repeat(32_000)}`,
    `== store /nix/store\nx 1 1 1 1% x\n${'inodes %'.repeat(32_000)}`,
    `== store /nix/store\n${' 1'.repeat(128_000)}`,
    `== pressure\n${'full total='.repeat(24_000)}`,
    '== '.repeat(80_000),
    'a '.repeat(128_000),
    '\n'.repeat(256_000),
  ]
  for (const output of long) {
    const started = performance.now()
    for (const probe of telemetryProbes) parse(probe, output)
    const took = performance.now() - started
    t.ok(
      took < 5000,
      `${JSON.stringify(output.slice(0, 30))} takes ${took.toFixed(0)} ms`,
    )
  }
  const word = fc.constantFrom(
    ...[
      '== ',
      'store /nix/store',
      'statfs',
      'inodes',
      'set.',
      'system',
      ' ',
      '\n',
      '%',
      '\t',
    ],
    ...[
      'meminfo',
      'MemTotal:',
      'pressure',
      'full total=',
      'time',
      '0',
      '17',
      '9'.repeat(30),
    ],
    ...['\u001b[31m', '\u202e', '\u0000', '-1', '1e999', 'NaN'],
  )
  const isFinite = (value: unknown): boolean =>
    typeof value === 'number'
      ? Number.isFinite(value)
      : typeof value !== 'object' ||
        value === null ||
        Object.values(value).every(isFinite)
  fc.assert(
    fc.property(fc.array(word, { maxLength: 60 }), words => {
      const text = words.join('')
      return telemetryProbes.every(probe => {
        const outcome = parse(probe, text)
        return isFinite(outcome) && !JSON.stringify(outcome).includes('\\u001b')
      })
    }),
    { numRuns: 300 },
  )
})

t.test('the script runs in a real sh and returns all sections', async t => {
  const { stdout, status } = spawnSync('/bin/sh', ['-s'], {
    input: telemetryScript(telemetryProbes, 'c0ffee'),
    encoding: 'utf8',
  })
  t.equal(status, 0)
  const sections = splitSections(stdout, 'c0ffee')
  t.same([...sections.keys()], ['system', 'disk', 'memory', 'locks', 'sessions', 'end'])
  t.match(sections.get('system'), /^time \d+\nkernel \S+ \S+ \S+\nnix/)
  t.match(parse(memoryProbe, sections.get('memory') ?? ''), { status: 'ok' })
})

const read = async (play: (far: FarSide) => void, signal?: AbortSignal) => {
  const remote = memoryRemote(play)
  const found = await readTelemetry(telemetryProbes, contextOf(remote, {}, signal))
  t.equal(remote.closed(), 1)
  return Object.fromEntries(found) as Record<ProbeName, Outcome>
}

/** Reads the whole input first. */
const afterInput = (far: FarSide, then: (input: string) => void) => {
  let input = ''
  far.input.on('data', (chunk: Buffer) => (input += chunk.toString()))
  far.input.on('end', () => then(input))
}

const sh = (far: FarSide, noise = '') =>
  afterInput(far, input => {
    const { stdout, status } = spawnSync('/bin/sh', ['-s'], { input, encoding: 'utf8' })
    far.output.write(noise + stdout)
    far.end(status)
  })

const nonceOf = (input: string) => /nonce=(\w+)/.exec(input)?.[1] ?? ''

t.test('ignores output outside the sections', async t => {
  const found = await read(far =>
    sh(far, 'Welcome!\n== meminfo\nMemTotal: 7 kB\n@c0ffee memory\n\u001b[31m'),
  )
  t.equal(found.memory.status, 'ok')
  t.notMatch(found.memory, { value: { sizeBytes: 7 * 1024 } })
})

t.test('a command that echoes its input cannot forge a section', async t => {
  const found = await read(far =>
    afterInput(far, input => {
      far.output.write(input)
      far.end(0)
    }),
  )
  for (const name of ['system', 'disk', 'memory'] as const)
    t.match(found[name], { status: 'skipped', kind: 'forced_command' })
})

t.test('skips without a shell, with a forced command or a lost connection', async t => {
  const saying = (code: number | null, stdout: string, stderr = '') =>
    read(far => {
      far.output.write(stdout)
      far.errors.write(stderr)
      far.end(code)
    })
  t.match(await saying(127, '', 'sh: not found\n'), { disk: { kind: 'no_shell' } })
  t.match(await saying(1, 'This account is currently not available.\n'), {
    disk: { kind: 'no_shell' },
  })
  t.match(await saying(0, ''), { disk: { kind: 'forced_command' } })
  t.match(await saying(1, '', 'error: unexpected end-of-file\n'), {
    disk: { kind: 'forced_command' },
  })
  const lost = { open: () => Promise.reject(new Error('the connection is closed')) }
  const found = await readTelemetry(telemetryProbes, contextOf(lost))
  for (const outcome of found.values())
    t.match(outcome, {
      status: 'skipped',
      kind: 'no_data',
      params: { detail: /closed/ },
    })
})

t.test('keeps complete sections of a truncated answer', async t => {
  const deadline = new AbortController()
  const found = await read(far => {
    afterInput(far, input => {
      const nonce = nonceOf(input)
      far.output.write(
        `\n@${nonce} system\nset.system x86_64-linux\n\n@${nonce} disk\n${disk(9999)}`,
      )
      setTimeout(() => deadline.abort(new Error('late')), 30)
    })
  }, deadline.signal)
  t.match(found, {
    system: { status: 'ok' },
    disk: { status: 'skipped', kind: 'no_data' },
    memory: { status: 'skipped', kind: 'no_data' },
  })
})

t.test('disk uses the min-free of the same answer', async t => {
  const found = await read(far =>
    afterInput(far, input => {
      const nonce = nonceOf(input)
      far.output.write(
        `\n@${nonce} system\nset.system x86_64-linux\nset.min-free ${20 * GiB}\n` +
          `\n@${nonce} disk\n${disk(200_000)}\n@${nonce} end\n`,
      )
      far.end(0)
    }),
  )
  t.match(found.disk, { status: 'degraded', kind: 'below_min_free' })
})

t.test('stops reading a flood', async t => {
  let sent = 0
  const found = await read(far => {
    const chunk = Buffer.alloc(65_536, '\xff\u001b[31m')
    const pour = () => {
      while (!far.output.destroyed && sent < 100e6) {
        sent += chunk.length
        if (!far.output.write(chunk)) return
      }
    }
    far.output.on('drain', pour)
    pour()
  })
  t.match(found.disk, { status: 'skipped' })
  t.ok(sent < 2e6, `${sent} bytes taken`)
})

t.test('formats sizes', async t => {
  t.same([0, 1023, 1536, 150 * MiB, 20 * GiB, 2 ** 70].map(formatBytes), [
    ...['0 B', '1023 B', '1.5 KiB', '150 MiB', '20.0 GiB', '1048576 PiB'],
  ])
})

t.test('exports metrics', async t => {
  const value = <T>(outcome: Outcome<T>): T => {
    if (!('value' in outcome) || !outcome.value) throw new Error(JSON.stringify(outcome))
    return outcome.value
  }
  const builder = aBuilder()
  const families = (samples: readonly { family: string }[]) =>
    samples.map(sample => sample.family.replace('nix_builder_', ''))
  t.same(families(memoryProbe.samples(value(parse(memoryProbe, cgroupV2)), builder)), [
    'memory_available_bytes',
    'memory_size_bytes',
    'memory_stalled_seconds_total',
    'daemon_memory_bytes',
    'daemon_memory_limit_bytes',
    'daemon_oom_kills_total',
  ])
  t.same(
    diskProbe
      .samples(value(parse(diskProbe, debian.disk)), builder)
      .map(sample => sample.labels['filesystem']),
    ['store', 'store', 'build', 'build', 'state', 'state'],
  )
  t.same(
    families(systemProbe.samples(value(parse(systemProbe, debian.system)), builder)),
    [
      'min_free_bytes',
      'max_free_bytes',
      'clock_offset_seconds',
      'boot_timestamp_seconds',
    ],
  )
})
