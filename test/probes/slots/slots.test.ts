/** Slots: names of Nix's lock files, /proc/locks, and real locks of a child process. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type {
  Builder,
  LocksValue,
  Outcome,
  ProbeContext,
  SlotsValue,
} from '../../../src/model/index.ts'
import {
  lockNames,
  renderUri,
  parseSlotFile,
} from '../../../src/nix/machines/lock-names.ts'
import {
  formatDevice,
  findMountDevice,
  parseLocks,
} from '../../../src/probes/slots/file-locks.ts'
import { createReadSlotLocks } from '../../../src/probes/slots/slot-locks.ts'
import { createSlotsProbe, isFull } from '../../../src/probes/slots.ts'
import { aBuilder } from '../../support/builders.ts'

const scratch = async (t: Test): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'slots-test-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const runProbe = async (
  options: Parameters<typeof createReadSlotLocks>[0],
  builder: Partial<Builder>,
  now = Date.now(),
  last: { readonly slots?: SlotsValue; readonly locks?: Partial<LocksValue> } = {},
): Promise<Outcome<SlotsValue>> =>
  createSlotsProbe({
    readLocks: createReadSlotLocks(options),
    isOurs: () => false,
    stuckAfterSeconds: () => 3600,
  }).run({
    builder: aBuilder(builder),
    last: name => ((last as Record<string, unknown>)[name] ?? null) as never,
    clock: { now: () => now, monotonic: () => 0, sleep: async () => undefined },
  } as Partial<ProbeContext> as ProbeContext)

const valueOf = (outcome: Outcome<SlotsValue>): SlotsValue => {
  if (!('value' in outcome) || !outcome.value) throw new Error(JSON.stringify(outcome))
  return outcome.value
}

t.test('returns the lock names of every Nix version', async t => {
  // File names in /nix/var/nix/current-load of 2.8, 2.26 and 2.34
  t.match(lockNames('ssh-ng://root@one').slots, ['ssh-ng:__root@one'])
  t.match(lockNames('ssh-ng://root@one').upload, ['ssh-ng:__root@one.upload-lock'])
  t.ok(
    lockNames('ssh://one?max-connections=3&compress=true').slots.includes(
      'ssh:__one?compress=true&max-connections=3',
    ),
    'rendered: sorted',
  )
  t.ok(
    lockNames('ssh://one?max-connections=3&compress=true').slots.includes(
      'ssh:__one?max-connections=3&compress=true',
    ),
    'raw: as written',
  )
  // Lix: 48 characters of the escaped URI, 16 of the base32 of its hash
  const lix = lockNames(`ssh-ng://builder@${'a'.repeat(60)}.example.org`).slots.at(-1)
  t.match(lix, /^ssh-ng:__builder@a{31}-[0-9a-df-np-sv-z]{16}$/)
  // 2.24: md5 in base64 if the name is too long for a file
  t.ok(
    lockNames('ssh://one').upload.some(name => /^[\w+]{22}==\.upload-lock$/.test(name)),
  )
})

t.test('renders URIs as Nix does', async t => {
  const rows = [
    ['ssh-ng://one?root=foo&x=%2Ftmp%20a', 'ssh-ng://one?root=foo&x=/tmp%20a'],
    ['/srv/store', 'local:///srv/store'],
    ['ssh://u@fe80::1', 'ssh://u@[fe80::1]'],
    ['ssh://u@[fe80::1]', 'ssh://u@[fe80::1]'],
    ['ssh://u@host:2222', 'ssh://u@host:2222'],
    ['auto', 'auto'],
    ['ssh://one?x=%zz', 'ssh://one?x=%25zz'],
  ] as const
  for (const [uri, rendered] of rows) t.equal(renderUri(uri), rendered, uri)
})

t.test('a slot file name ends with a number', async t => {
  t.same(parseSlotFile('ssh-ng:__root@one-12'), {
    machine: 'ssh-ng:__root@one',
    slot: 12,
  })
  for (const name of ['main-lock', 'ssh:__one.upload-lock', '-1', 'x-', 'x--'])
    t.equal(parseSlotFile(name), null, name)
})

t.test('parses only the flocks of /proc/locks', async t => {
  const text = `1: FLOCK  ADVISORY  WRITE 28630 00:86:29 0 EOF
2: POSIX  ADVISORY  WRITE 28635 00:86:29 0 EOF
3: FLOCK  ADVISORY  WRITE 12 fd:01:4294967301 0 EOF
3: -> FLOCK  ADVISORY  WRITE 13 fd:01:4294967301 0 EOF
3:  -> FLOCK  ADVISORY  WRITE 14 fd:01:4294967301 0 EOF
4: OFDLCK ADVISORY  READ  -1 00:12:5 0 EOF
5: FLOCK  ADVISORY  WRITE -1 00:12:5 0 EOF
rubbish`
  t.same(parseLocks(text), [
    { pid: 28630, file: '0:134:29', isWaiting: false },
    { pid: 12, file: '253:1:4294967301', isWaiting: false },
    { pid: 13, file: '253:1:4294967301', isWaiting: true },
    { pid: 14, file: '253:1:4294967301', isWaiting: true },
  ])
})

t.test('formats devices as the kernel does', async t => {
  t.equal(formatDevice(0xfd01n), '253:1')
  t.equal(formatDevice(0x12345f06n), '1119:74502')
  t.equal(formatDevice((1n << 20n) | 0x0102n), '1:258')
  const mounts = `22 1 0:30 /@ / rw - btrfs /dev/sda2 rw
23 22 0:31 / /nix rw - tmpfs nix rw
24 23 0:32 / /nix/store ro - tmpfs nix rw
25 22 0:33 / /nixos rw - tmpfs nix rw`
  t.equal(findMountDevice(mounts, '/nix/var/nix/current-load'), '0:31')
  t.equal(findMountDevice(mounts, '/var'), '0:30')
  t.equal(findMountDevice('', '/var'), null)
})

/** A temporary state directory and /proc with the given locks. */
const play = async (t: Test, files: readonly string[]) => {
  const root = await scratch(t)
  const load = join(root, 'state', 'current-load')
  const proc = join(root, 'proc')
  await mkdir(load, { recursive: true })
  await mkdir(join(proc, 'self'), { recursive: true })
  const ids = new Map<string, string>()
  for (const file of files) {
    await writeFile(join(load, file), '')
    const { dev, ino } = await stat(join(load, file), { bigint: true })
    const [major = '0', minor = '0'] = formatDevice(dev).split(':')
    const hex = (n: string) => Number(n).toString(16).padStart(2, '0')
    ids.set(file, `${hex(major)}:${hex(minor)}:${ino}`)
  }
  return {
    load,
    options: { env: { NIX_STATE_DIR: join(root, 'state') }, proc, monotonic: () => 0 },
    touch: (file: string, at: number) => utimes(join(load, file), at, at),
    lock: (rows: readonly (readonly [string, number, string?])[]) =>
      writeFile(
        join(proc, 'locks'),
        rows
          .map(
            ([file, pid, arrow = '']) =>
              `1: ${arrow}FLOCK  ADVISORY  WRITE ${pid} ${ids.get(file) ?? file} 0 EOF\n`,
          )
          .join(''),
      ),
  }
}

const uri = { storeUri: 'ssh-ng://nix@b1', maxJobs: 2 }

t.test('reports slots in use, their processes and the upload lock', async t => {
  const at = 1_700_000_000
  const p = await play(t, [
    'main-lock',
    'ssh-ng:__nix@b1-0',
    'ssh-ng:__nix@b1-1',
    'ssh-ng:__nix@b10-0',
    'ssh-ng:__nix@b1.upload-lock',
  ])
  await p.touch('ssh-ng:__nix@b1-0', at - 60)
  await p.touch('ssh-ng:__nix@b1-1', at - 10)
  await p.lock([
    ['ssh-ng:__nix@b1-1', 11],
    ['ssh-ng:__nix@b1-0', 10],
    ['ssh-ng:__nix@b10-0', 12],
    ['ssh-ng:__nix@b1.upload-lock', 10],
    ['ssh-ng:__nix@b1.upload-lock', 11, '-> '],
    ['ff:ff:1', 99],
  ])
  const outcome = await runProbe(p.options, uri, at * 1000)
  t.match(outcome, { status: 'ok' })
  t.same(valueOf(outcome), {
    configured: 2,
    inUse: [
      { slot: 0, pid: 10, since: at - 60 },
      { slot: 1, pid: 11, since: at - 10 },
    ],
    oldestAcquiredAt: at - 60,
    upload: { holder: 10, queue: [11] },
    seesAllNamespaces: true,
  })
  t.equal(isFull(valueOf(outcome)), true)
  t.equal(isFull({ ...valueOf(outcome), configured: 3 }), false)
  t.equal(isFull({ ...valueOf(outcome), inUse: [], configured: 0 }), false)
})

t.test('ignores slots of a hook that chooses a machine', async t => {
  const p = await play(t, ['main-lock', 'ssh-ng:__nix@b1-0'])
  await p.lock([
    ['main-lock', 10],
    ['ssh-ng:__nix@b1-0', 10],
  ])
  t.same(valueOf(await runProbe(p.options, uri)).inUse, [])
  await p.lock([
    ['main-lock', 11],
    ['ssh-ng:__nix@b1-0', 10],
  ])
  t.match(valueOf(await runProbe(p.options, uri)).inUse, [{ slot: 0, pid: 10 }])
})

/** Adds a process to the simulated /proc. */
const playProcess = async (
  { options }: Awaited<ReturnType<typeof play>>,
  {
    pid,
    parent = 1,
    name,
    ticks = 0,
  }: Record<'pid', number> & {
    readonly parent?: number
    readonly name: string
    readonly ticks?: number
  },
) => {
  const directory = join(options.proc, String(pid))
  await mkdir(directory, { recursive: true })
  const fields = [
    parent,
    ...Array.from({ length: 9 }, () => 0),
    ticks,
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0,
  ]
  await writeFile(join(directory, 'stat'), `${pid} (${name}) S ${fields.join(' ')} 0`)
  await writeFile(join(directory, 'comm'), `${name}\n`)
}

t.test('an old slot without a build is stuck', async t => {
  const at = 1_700_000_000
  const p = await play(t, ['ssh-ng:__nix@b1-0', 'ssh-ng:__nix@b1.upload-lock'])
  await p.touch('ssh-ng:__nix@b1-0', at - 2 * 3600 - 5)
  await p.lock([['ssh-ng:__nix@b1-0', 10]])
  const see = (last = {}, now = at) => runProbe(p.options, uri, now * 1000, last)
  t.match(await see(), { status: 'ok' }, 'a hidden hook can have a build')

  await playProcess(p, { pid: 10, name: 'build-remote' })
  await playProcess(p, { pid: 9, parent: 12, name: 'ssh' })
  await playProcess(p, { pid: 11, parent: 10, name: 'sshd' })
  const stuck = { status: 'degraded', kind: 'slot_stuck' }
  t.match(await see(), {
    ...stuck,
    params: { slots: '0', hours: '2', pid: '10', detail: 'its ssh process has exited' },
  })
  t.match(await see({}, at - 3700), { status: 'ok' }, 'not for long')

  await playProcess(p, { pid: 12, parent: 11, name: 'sh', ticks: 50 })
  const first = await see()
  t.match(first, { status: 'ok', value: { inUse: [{ hasSsh: true, cpuSeconds: 0.5 }] } })
  const slots = valueOf(first)
  const idle = { at: at - 60, buildUsers: 10, buildUsersInUse: 0 }
  t.match(await see({ slots, locks: idle }), {
    ...stuck,
    params: { detail: 'no build runs on the builder' },
  })
  for (const [why, last] of Object.entries({
    'a build runs there': { slots, locks: { ...idle, buildUsersInUse: 1 } },
    'it has no build users': { slots, locks: { ...idle, buildUsers: null } },
    'old lock data': { slots, locks: { ...idle, at: at - 3600 } },
    'the first run': { locks: idle },
    'no lock data': { slots },
  }))
    t.match(await see(last), { status: 'ok' }, why)
  await p.lock([
    ['ssh-ng:__nix@b1-0', 10],
    ['ssh-ng:__nix@b1.upload-lock', 10],
  ])
  t.match(await see({ slots, locks: idle }), { status: 'ok' }, 'it uploads')
  await p.lock([['ssh-ng:__nix@b1-0', 10]])
  await playProcess(p, { pid: 12, parent: 11, name: 'sh', ticks: 51 })
  t.match(await see({ slots, locks: idle }), { status: 'ok' }, 'it uses CPU time')
})

t.test('a lock is not older than its process', async t => {
  const at = 1_700_000_000
  const p = await play(t, ['ssh-ng:__nix@b1-0'])
  await p.touch('ssh-ng:__nix@b1-0', at - 90_000)
  await p.lock([['ssh-ng:__nix@b1-0', 10]])
  await writeFile(join(p.options.proc, 'stat'), `cpu 1\nbtime ${at - 1000}\n`)
  await mkdir(join(p.options.proc, '10'))
  const fields = ['S', ...Array.from({ length: 18 }, () => '0'), '50000', '0']
  await writeFile(join(p.options.proc, '10', 'stat'), `10 (a) b (c) ${fields.join(' ')}`)
  const outcome = await runProbe(p.options, uri, at * 1000)
  t.match(outcome, { status: 'ok' })
  t.same(valueOf(outcome).oldestAcquiredAt, at - 1000 + 500)
})

t.test('skips without readable locks', async t => {
  const p = await play(t, [])
  t.match(await runProbe(p.options, uri), {
    status: 'skipped',
    kind: 'no_data',
    params: { detail: /locks/ },
  })
  await p.lock([])
  t.same(valueOf(await runProbe(p.options, uri)).inUse, [])
  await rm(p.load, { recursive: true })
  t.match(valueOf(await runProbe(p.options, uri)), { inUse: [], configured: 2 })
  await writeFile(p.load, 'no directory')
  t.match(await runProbe(p.options, uri), {
    status: 'skipped',
    params: { detail: /ENOTDIR/ },
  })
})

const hasFlock =
  process.platform === 'linux' && spawnSync('flock', ['--version']).status === 0

t.test(
  'reads locks of another process without taking a lock',
  { skip: !hasFlock && 'no flock program' },
  async t => {
    const root = await scratch(t)
    const load = join(root, 'current-load')
    await mkdir(load)
    const slot = join(load, 'ssh-ng:__nix@b1-0')
    const hold = async (path: string, command: readonly string[]) => {
      const child = spawn('flock', [path, ...command], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      t.teardown(() => child.kill())
      return child
    }
    const holder = await hold(slot, ['sh', '-c', 'echo held; read -r line'])
    await once(holder.stdout, 'data')
    const options = { env: { NIX_STATE_DIR: root }, monotonic: () => 0 }
    const value = valueOf(await runProbe(options, uri))
    t.match(value.inUse, [{ slot: 0, pid: holder.pid }])
    const age = Date.now() / 1000 - (value.oldestAcquiredAt ?? 0)
    t.ok(age > -2 && age < 30, `${age} s old`)
    t.equal(
      spawnSync('flock', ['--nonblock', join(load, 'ssh-ng:__nix@b1-1'), 'true']).status,
      0,
      'a free slot stays free',
    )

    const upload = join(load, 'ssh-ng:__nix@b1.upload-lock')
    const first = await hold(upload, ['sh', '-c', 'echo held; read -r line'])
    await once(first.stdout, 'data')
    const second = await hold(upload, ['true'])
    const waits = async () => {
      for (let i = 0; i < 200; i++) {
        const { upload } = valueOf(await runProbe(options, uri))
        if (upload.queue.length) return upload
        await new Promise(resolve => setTimeout(resolve, 20))
      }
      return null
    }
    t.same(await waits(), { holder: first.pid, queue: [second.pid] })

    holder.stdin.end('\n')
    await once(holder, 'exit')
    t.same(valueOf(await runProbe(options, uri)).inUse, [])
  },
)
