/**
 * What one telemetry sweep of a real builder costs on both sides: CPU here (children included), CPU, processes, packets and bytes on
 * the builder; with the shell that stays open, with one command per sweep, and for what others do, in turns. Also asserts that
 * never more than two channels are open. Goal: at most a hundredth of `nix store ping`, and less than a command on the
 * builder. Needs the lab (test/lab/lab.sh up). Run: npm run bench:lab
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noTrace, type ProbeContext, type Remote } from '../src/model/index.ts'
import { telemetryProbes } from '../src/probes/index.ts'
import { trustProbe } from '../src/probes/trust.ts'
import { createKeptShell, type KeptShell } from '../src/probes/telemetry/kept-shell.ts'
import { readTelemetry } from '../src/probes/telemetry/telemetry.ts'
import { systemClock } from '../src/schedule/clock.ts'
import { createDial } from '../src/transport/ssh/dial.ts'
import { createRun } from '../src/transport/run.ts'
import { aBuilder } from '../test/support/builders.ts'
import { aTarget } from '../test/transport/ssh/target.ts'

const lab =
  process.env['LAB_DIR'] || join(process.env['TMPDIR'] || tmpdir(), 'builder-lab')
const host = process.env['BENCH_HOST'] ?? `${process.env['LAB_NET'] ?? '10.88.0'}.3`
const key = process.env['BENCH_KEY'] ?? join(lab, 'keys', 'id')
const hostKey = process.env['BENCH_HOST_KEY'] ?? join(lab, 'keys', 'host_b3.pub')
const bridge = process.env['LAB_BRIDGE'] ?? 'labbr0'
const link = `${bridge}-b3`
/** Of cgroup v2, which is mounted elsewhere next to v1. */
const cgroup =
  ['/sys/fs/cgroup/unified', '/sys/fs/cgroup']
    .map(root => `${root}/lab-${bridge}-b3`)
    .find(existsSync) ?? ''
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5)
const perRound = { ours: 50, theirs: 8 }

if (!existsSync(key) || !cgroup) {
  console.log('sweep: no lab here (test/lab/lab.sh up), nothing measured')
  process.exit(0)
}

const builder = aBuilder({
  host,
  user: 'remotebuild',
  sshKey: key,
  publicHostKey: readFileSync(hostKey).toString('base64'),
})
const run = createRun()
const nix = { version: '2.34.8', system: 'x86_64-linux' }
const dial = createDial({
  run,
  clock: systemClock,
  env: process.env,
  nix: () => nix,
  resolve: () => aTarget({ hostname: host, user: 'remotebuild', identityFiles: [key] }),
})
const { outcome, connection } = await dial(builder, AbortSignal.timeout(20_000))
if (!connection) throw new Error(`no login: ${JSON.stringify(outcome)}`)

let open = 0
let most = 0
const counted: Remote = {
  open: async (command, signal) => {
    const channel = await connection.open(command, signal)
    most = Math.max(most, ++open)
    void channel.exit.then(() => open--)
    return channel
  },
}
const context = (): ProbeContext => ({
  builder,
  remote: counted,
  run,
  clock: systemClock,
  signal: AbortSignal.timeout(20_000),
  nix,
  last: () => null,
  trace: noTrace,
})
const shell = createKeptShell(counted, telemetryProbes)
/** Of the default schedule: what is due every 30 s, and what is due every five minutes. */
const often = telemetryProbes.filter(
  ({ name }) => name !== 'system' && name !== 'sessions',
)
const rarely = telemetryProbes.filter(probe => !often.includes(probe))
const sweep = async (by: KeptShell | null, due = often) => {
  const found = await readTelemetry(due, context(), by)
  for (const [probe, { status }] of found)
    if (status === 'skipped' || status === 'failed')
      throw new Error(`${probe} is ${status}: ${JSON.stringify(found.get(probe))}`)
}

/** Of one sweep. */
interface Cost {
  /** Milliseconds of CPU here, and on the builder. */
  readonly here: number
  readonly there: number
  readonly processes: number
  readonly packets: number
  readonly bytes: number
}
const columns = ['here', 'there', 'processes', 'packets', 'bytes'] as const

/** Counters that only grow: of this process, or of the programs that `work` waits for. */
const counters = (): Omit<Cost, 'here'> => ({
  there: Number(/usage_usec (\d+)/.exec(read(join(cgroup, 'cpu.stat')))?.[1]) / 1000,
  processes: Number(/^processes (\d+)/m.exec(read('/proc/stat'))?.[1]),
  packets: traffic('packets'),
  bytes: traffic('bytes'),
})
const measure = async (count: number, work: () => Promise<number>): Promise<Cost> => {
  const before = counters()
  const here = await work()
  const after = counters()
  const per = (name: keyof typeof after) => (after[name] - before[name]) / count
  return {
    here: here / count,
    there: per('there'),
    processes: per('processes'),
    packets: per('packets'),
    bytes: per('bytes'),
  }
}
const ours = (by: KeptShell | null, due = often) =>
  measure(perRound.ours, async () => {
    const before = process.cpuUsage()
    for (let i = 0; i < perRound.ours; i++) await sweep(by, due)
    return milliseconds(process.cpuUsage(before))
  })
const theirs = (command: string) =>
  measure(perRound.theirs, () => Promise.resolve(cpuOf(command)))

const control = join(tmpdir(), `builder-monitor-bench-${process.pid}`)
const sshOptions = `-F none -oBatchMode=yes -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR -i ${key}`
const ways: Readonly<Record<string, () => Promise<Cost>>> = {
  'kept shell, each 30 s': () => ours(shell),
  'kept shell, each 5 min': () => ours(shell, rarely),
  'a command, each 30 s': () => ours(null),
  'ssh ControlMaster, true': () =>
    theirs(`ssh ${sshOptions} -S ${control} remotebuild@${host} true`),
  'fresh ssh, true': () => theirs(`ssh ${sshOptions} remotebuild@${host} true`),
  'nix store ping, ssh-ng': () =>
    theirs(
      `nix --extra-experimental-features nix-command store ping --store 'ssh-ng://remotebuild@${host}?ssh-key=${key}'`,
    ),
}

// As the engine does: the trust question takes the first channel
await trustProbe.run(context())
const master = spawn(
  'ssh',
  [...sshOptions.split(' '), '-M', '-S', control, '-N', `remotebuild@${host}`],
  { stdio: 'ignore' },
)
const rows = new Map<string, Cost>()
try {
  for (let i = 0; i < 20; i++) await sweep(i % 2 ? shell : null)
  while (!existsSync(control)) await new Promise(resolve => setTimeout(resolve, 20))
  const costs = new Map(Object.keys(ways).map(name => [name, [] as Cost[]]))
  for (let round = 0; round < rounds; round++)
    for (const [name, way] of Object.entries(ways)) costs.get(name)?.push(await way())
  for (const [name, all] of costs) {
    const middle = (column: keyof Cost) => median(all.map(cost => cost[column]))
    rows.set(name, Object.fromEntries(columns.map(one => [one, middle(one)])) as never)
  }
  await Promise.all(Array.from({ length: 6 }, () => sweep(null)))
} finally {
  master.kill()
  connection.close()
}

console.log('sweep, one each:          ms here  ms there  processes  packets  bytes')
for (const [name, { here, there, processes, packets, bytes }] of rows)
  console.log(
    `${name.padEnd(25)}${here.toFixed(2).padStart(8)}${there.toFixed(2).padStart(10)}${processes.toFixed(1).padStart(11)}${packets.toFixed(1).padStart(9)}${bytes.toFixed(0).padStart(7)}`,
  )
const [kept, rare, command, ping] = [
  'kept shell, each 30 s',
  'kept shell, each 5 min',
  'a command, each 30 s',
  'nix store ping, ssh-ng',
].map(name => rows.get(name))
if (!kept || !rare || !command || !ping) throw new Error('nothing measured')
console.log(
  `ratio to nix store ping: 1/${(ping.here / kept.here).toFixed(0)} here (goal: at most 1/100), 1/${(ping.there / kept.there).toFixed(1)} on the builder`,
)
console.log(
  `a builder pays ${((kept.there * 120 + rare.there * 12) / 1000).toFixed(1)} s of CPU an hour for both`,
)
console.log(`channels: at most ${most} at a time, with six sweeps at once (goal: 2)`)
if (most > 2 || kept.here * 100 > ping.here || kept.there > command.there)
  process.exitCode = 1

/** CPU of a command that is run several times, its children included, as bash counts them. Milliseconds. */
function cpuOf(command: string): number {
  const script = `TIMEFORMAT='%U %S'; time for i in {1..${perRound.theirs}}; do ${command} >/dev/null 2>&1 || exit 1; done`
  const text = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`], {
    env: {
      ...process.env,
      NIX_SSHOPTS: '-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null',
    },
  }).toString()
  const [user = NaN, system = NaN] = text.trim().split(' ').map(Number)
  return (user + system) * 1000
}

/** Of the interface of the builder, both ways. */
function traffic(what: 'packets' | 'bytes'): number {
  const directory = `/sys/class/net/${link}/statistics`
  return ['rx', 'tx'].reduce(
    (sum, way) => sum + Number(read(`${directory}/${way}_${what}`)),
    0,
  )
}

function read(path: string): string {
  return readFileSync(path, 'utf8')
}

function milliseconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN
}
