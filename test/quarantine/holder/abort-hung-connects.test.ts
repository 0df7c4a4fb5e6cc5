/** A /proc of files: which processes are ended. The lab ends a real ssh. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLog } from '../../../src/log/log.ts'
import { createAbortHungConnects } from '../../../src/quarantine/holder/abort-hung-connects.ts'

const row = (inode: number, state: string, retransmits: number) =>
  `   0: 0100007F:A4FF 02005E0A:0016 ${state} 00000001:00000000 01:00000064 0000000${retransmits}     0        0 ${inode} 2 000000006c956988\n`

interface Fake {
  readonly name?: string
  /** Seconds since it was started. */
  readonly age?: number
  readonly hook?: readonly string[]
  readonly sockets?: readonly number[]
  readonly table?: string
}

/** A hook (process 10) with an ssh (process 12) below another process, after 1000 s of uptime. */
const fakeProc = (t: Test, fake: Fake = {}): string => {
  const { name = 'ssh', age = 6, sockets = [78], table = row(78, '02', 2) } = fake
  const { hook = ['nix', '__build-remote', '3'] } = fake
  const proc = t.testdir({ uptime: '1000.00 1.00\n' })
  const add = (pid: number, parent: number, program: string, started: number) => {
    mkdirSync(join(proc, String(pid), 'fd'), { recursive: true })
    mkdirSync(join(proc, String(pid), 'net'))
    const fields = ['S', parent, ...Array.from({ length: 17 }, () => 0), started]
    writeFileSync(
      join(proc, String(pid), 'stat'),
      `${pid} (${program}) ${fields.join(' ')} 0`,
    )
  }
  add(10, 1, 'nix', 0)
  writeFileSync(join(proc, '10', 'cmdline'), hook.join('\0'))
  add(11, 10, 'sh', 0)
  add(12, 11, name, (1000 - age) * 100)
  for (const inode of sockets)
    symlinkSync(`socket:[${inode}]`, join(proc, '12', 'fd', String(inode)))
  writeFileSync(join(proc, '12', 'net', 'tcp'), table)
  return proc
}

const killed = async (t: Test, fake?: Fake, endpoint = '10.94.0.2 port 22') => {
  const pids: number[] = []
  const connects = createAbortHungConnects({
    log: silentLog,
    kill: pid => pids.push(pid),
    proc: fakeProc(t, fake),
  })
  await connects.look(new Set([endpoint]))
  return pids
}

t.test('an ssh of a build hook that hangs in its connect is ended', async t => {
  t.same(await killed(t), [12])
  t.same(await killed(t, { hook: ['/usr/libexec/nix/build-remote', '3'] }), [12])
})

t.test('nothing else is touched', async t => {
  const others: Readonly<Record<string, Fake>> = {
    'an established connection': { table: row(78, '01', 3) },
    'a young process': { age: 4 },
    'a connect that may still succeed': { table: row(78, '02', 1) },
    'another program': { name: 'sshd' },
    'an ssh of a person': { hook: ['bash', '-l'] },
    'a second connection': {
      sockets: [78, 79],
      table: row(78, '02', 2) + row(79, '01', 0),
    },
    'the socket of another process': { sockets: [80] },
  }
  for (const [what, fake] of Object.entries(others))
    await t.test(what, async t => t.same(await killed(t, fake), []))
  t.same(
    await killed(t, {}, '10.94.0.3 port 22'),
    [],
    'a builder that is not quarantined',
  )
})
