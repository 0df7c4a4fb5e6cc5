/**
 * What one telemetry sweep of a real builder costs our process on its kept connection, against what `nix store ping`
 * costs (children included) for the same builder, in turns. Also asserts that never more than two channels are open.
 * Goal: at most a fiftieth. Needs the lab (test/lab/lab.sh up).
 * Run: node --import ./scripts/ts/register.mjs bench/sweep.ts
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noTrace, type ProbeContext, type Remote } from '../src/model/index.ts'
import { telemetryProbes } from '../src/probes/index.ts'
import { trustProbe } from '../src/probes/trust.ts'
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
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 5)
const sweepsPerRound = 100
const pingsPerRound = 8

if (!existsSync(key)) {
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
const sweep = async () => {
  const found = await readTelemetry(telemetryProbes, context())
  for (const [probe, { status }] of found)
    if (status === 'skipped' || status === 'failed')
      throw new Error(`${probe} is ${status}: ${JSON.stringify(found.get(probe))}`)
}

// As the engine does: the trust question takes the first channel
await trustProbe.run(context())
const ours: number[] = []
const theirs: number[] = []
const firstCpu = process.cpuUsage()
await sweep()
const first = milliseconds(process.cpuUsage(firstCpu))
for (let i = 0; i < 20; i++) await sweep()
for (let round = 0; round < rounds; round++) {
  const before = process.cpuUsage()
  for (let i = 0; i < sweepsPerRound; i++) await sweep()
  ours.push(milliseconds(process.cpuUsage(before)) / sweepsPerRound)
  theirs.push(pingCpu() / pingsPerRound)
}
await Promise.all(Array.from({ length: 6 }, sweep))
connection.close()

const [own, peer] = [median(ours), median(theirs)]
console.log(
  `sweep: ${own.toFixed(2)} ms of CPU for one telemetry sweep (the first, cold: ${first.toFixed(1)} ms)`,
)
console.log(`peer: ${peer.toFixed(1)} ms of CPU for one nix store ping, ssh included`)
console.log(`ratio: 1/${(peer / own).toFixed(0)} (goal: at most 1/50)`)
console.log(`channels: at most ${most} at a time, with six sweeps at once (goal: 2)`)
if (most > 2 || own * 50 > peer) process.exitCode = 1

/** User and system time of nix and the ssh that it waits for, as bash counts them. */
function pingCpu(): number {
  const store = `ssh-ng://remotebuild@${host}?ssh-key=${key}`
  const ping = `nix --extra-experimental-features nix-command store ping --store '${store}'`
  const script = `TIMEFORMAT='%U %S'; time for i in {1..${pingsPerRound}}; do ${ping} >/dev/null 2>&1 || exit 1; done`
  const text = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`], {
    env: {
      ...process.env,
      NIX_SSHOPTS: '-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null',
    },
  }).toString()
  const [user = NaN, system = NaN] = text.trim().split(' ').map(Number)
  return (user + system) * 1000
}

function milliseconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN
}
