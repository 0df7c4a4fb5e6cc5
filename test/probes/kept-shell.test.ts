/** The real scripts in a real shell that stays open over a real SSH connection. */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { ServerChannel } from 'ssh2'
import type { Remote } from '../../src/model/index.ts'
import { telemetryProbes } from '../../src/probes/index.ts'
import { createKeptShell } from '../../src/probes/telemetry/kept-shell.ts'
import { readTelemetry } from '../../src/probes/telemetry/telemetry.ts'
import { storeCommand } from '../../src/nix/protocol/store-command.ts'
import { aBuilder } from '../support/builders.ts'
import { dialTo, sshServer } from '../transport/ssh/support.ts'
import { contextOf } from './support.ts'

const { signal } = new AbortController()

interface Shells {
  readonly remote: Remote
  readonly running: readonly ChildProcess[]
  /** Commands that were run. */
  readonly count: () => number
}

const runIn =
  (running: ChildProcess[], file: string, ...args: readonly string[]) =>
  (channel: ServerChannel) => {
    const shell = spawn(file, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    running.push(shell)
    shell.stdin.on('error', () => undefined)
    channel.pipe(shell.stdin)
    shell.stdout.pipe(channel, { end: false })
    shell.on('close', code => {
      channel.exit(code ?? 1)
      channel.end()
    })
    channel.on('close', () => shell.kill('SIGKILL'))
  }

/** A login to a server that runs scripts. `play`: what the nth command does. */
const connect = async (
  t: Test,
  play: (n: number, running: ChildProcess[]) => (channel: ServerChannel) => void,
): Promise<Shells> => {
  let commands = 0
  const running: ChildProcess[] = []
  const { port } = await sshServer(t, {
    exec: (channel, command) => {
      if (command.startsWith('nix-')) return
      play(++commands, running)(channel)
    },
  })
  const { connection } = await dialTo(t, port)()
  if (!connection) throw new Error('no connection')
  // As a login does, which speaks Nix's protocol there: it is one of two channels
  const protocol = await connection.open(storeCommand(aBuilder()), signal)
  protocol.close()
  return { remote: connection, running, count: () => commands }
}

const statuses = async (
  { remote }: Shells,
  shell: ReturnType<typeof createKeptShell>,
  until = signal,
) => {
  const outcomes = await readTelemetry(
    telemetryProbes,
    contextOf(remote, {}, until),
    shell,
  )
  return [...outcomes.values()].map(outcome =>
    outcome.status === 'skipped' ? outcome.kind : 'read',
  )
}
const allRead = telemetryProbes.map(() => 'read')
const sh = (_: number, running: ChildProcess[]) => runIn(running, '/bin/sh', '-s')

for (const [file, ...args] of [
  ['/bin/sh', '-s'],
  ['/bin/bash', '-s'],
  ['/bin/bash', '--posix', '-s'],
  ['/bin/busybox', 'sh', '-s'],
])
  if (file && existsSync(file))
    t.test(`${file} ${args.join(' ')}`, async t => {
      const shells = await connect(t, (_, running) => runIn(running, file, ...args))
      const shell = createKeptShell(shells.remote, telemetryProbes)
      for (let i = 0; i < 3; i++) t.same(await statuses(shells, shell), allRead)
      t.equal(shells.count(), 1, 'one shell for all sweeps')
    })

t.test('reads the same as a command', async t => {
  const shells = await connect(t, sh)
  const kept = createKeptShell(shells.remote, telemetryProbes)
  const parse = async (shell: typeof kept | null) => {
    const outcomes = await readTelemetry(telemetryProbes, contextOf(shells.remote), shell)
    const system = outcomes.get('system')
    const value = system && 'value' in system ? (system.value as object) : {}
    return { ...value, clockOffsetSeconds: 0, time: 0 }
  }
  t.same(await parse(kept), await parse(null))
})

t.test('a shell that was ended is replaced by commands, in the same attempt', async t => {
  const shells = await connect(t, sh)
  const shell = createKeptShell(shells.remote, telemetryProbes)
  t.same(await statuses(shells, shell), allRead)
  shells.running[0]?.kill('SIGKILL')
  t.same(await statuses(shells, shell), allRead)
  t.same(await statuses(shells, shell), allRead)
  t.equal(shells.count(), 3)
})

t.test('a shell that is stopped is given up at the deadline', async t => {
  const shells = await connect(t, sh)
  const shell = createKeptShell(shells.remote, telemetryProbes)
  t.same(await statuses(shells, shell), allRead)
  shells.running[0]?.kill('SIGSTOP')
  const outcomes = await statuses(shells, shell, AbortSignal.timeout(300))
  t.same(
    outcomes,
    telemetryProbes.map(() => 'no_data'),
  )
  t.same(await statuses(shells, shell), allRead, 'then a command reads them')
})

t.test('what was answered before the deadline is read', async t => {
  const shells = await connect(t, sh)
  // A section that is not followed by another may be truncated
  const hanging = telemetryProbes
    .slice(2)
    .map(probe => ({ ...probe, script: 'sleep 30' }))
  const probes = [...telemetryProbes.slice(0, 2), ...hanging]
  const shell = createKeptShell(shells.remote, probes)
  const context = contextOf(shells.remote, {}, AbortSignal.timeout(1500))
  const outcomes = await readTelemetry(probes, context, shell)
  t.same(
    [...outcomes.values()].map(({ status }) => status),
    ['ok', 'skipped', ...hanging.map(() => 'skipped')],
  )
})

t.test('a released shell has ended, and starts again', async t => {
  const shells = await connect(t, sh)
  const shell = createKeptShell(shells.remote, telemetryProbes)
  await shell.release()
  t.same(await statuses(shells, shell), allRead)
  await shell.release()
  t.equal(shells.running[0]?.exitCode, 0)
  t.same(await statuses(shells, shell), allRead)
  t.equal(shells.count(), 2)
  shells.running[1]?.kill('SIGSTOP')
  await shell.release()
  t.same(
    await statuses(shells, shell),
    allRead,
    'one that does not end is not waited for',
  )
})

t.test('a second request does not wait for the first', async t => {
  const shells = await connect(t, sh)
  const shell = createKeptShell(shells.remote, telemetryProbes)
  const both = await Promise.all([statuses(shells, shell), statuses(shells, shell)])
  t.same(both, [allRead, allRead])
  t.equal(shells.count(), 2)
})

for (const [name, play] of [
  [
    'a command that ends at once',
    (channel: ServerChannel) => {
      channel.exit(1)
      channel.end()
    },
  ],
  [
    'a command that only echoes',
    (channel: ServerChannel) => {
      channel.pipe(channel)
      channel.on('end', () => channel.exit(0))
    },
  ],
  [
    'a shell that prints without an end',
    (channel: ServerChannel) => {
      const write = () => {
        while (channel.writable && channel.write('x'.repeat(10_000)));
      }
      channel.on('drain', write).on('error', () => undefined)
      write()
    },
  ],
] as const)
  t.test(`${name} is no shell`, async t => {
    const shells = await connect(t, (n, running) =>
      n === 1 ? play : runIn(running, '/bin/sh', '-s'),
    )
    const shell = createKeptShell(shells.remote, telemetryProbes, { startMs: 500 })
    t.same(await statuses(shells, shell), allRead, 'a command reads them')
    t.same(await statuses(shells, shell), allRead)
    t.equal(shells.count(), 3, 'it is not tried again')
  })

t.test('answers with another nonce are not believed', async t => {
  const shells = await connect(t, (n, running) =>
    n > 1
      ? runIn(running, '/bin/sh', '-s')
      : channel => {
          let script = ''
          channel.on('data', (chunk: Buffer) => {
            script += chunk.toString()
            const nonce = /^nonce=(\w+)/m.exec(script)?.[1]
            if (nonce) channel.write(`@${nonce} ready\n`)
            channel.write('\n@c0ffee system\nnix nix (Nix) 9.9\n\n@c0ffee end\n')
          })
        },
  )
  const shell = createKeptShell(shells.remote, telemetryProbes)
  t.same(
    await statuses(shells, shell, AbortSignal.timeout(300)),
    telemetryProbes.map(() => 'no_data'),
  )
})
