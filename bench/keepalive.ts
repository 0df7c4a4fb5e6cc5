/**
 * What the keepalives of kept connections cost: CPU of one keepalive in this process, in the sshd of the builder, and in an
 * OpenSSH client (ServerAliveInterval) as the peer, in the same run. Needs the lab (test/lab/lab.sh up).
 * Goal: at most three times the peer; 1,000 builders with the 5 s of quarantine under 5 % of a core. Run: npm run bench:lab
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection } from '../src/model/index.ts'
import { systemClock } from '../src/schedule/clock.ts'
import { createDial } from '../src/transport/ssh/dial.ts'
import { createRun } from '../src/transport/run.ts'
import { aBuilder } from '../test/support/builders.ts'
import { labDir } from '../test/lab/support.ts'
import { aTarget } from '../test/transport/ssh/target.ts'

const host = `${process.env['LAB_NET'] ?? '10.88.0'}.3`
const key = join(labDir, 'keys', 'id')
const hostKey = join(labDir, 'keys', 'host_b3.pub')
const connections = 20
/** Of the peer, which knows no shorter one, and of quarantine, seconds. */
const peerInterval = 1
const usualInterval = 5
/** More often than in use, so that they can be measured, milliseconds. */
const intervalMs = 50
const seconds = 10

if (!existsSync(key)) {
  console.log('keepalive: no lab here (test/lab/lab.sh up), nothing measured')
  process.exit(0)
}

interface Cost {
  /** CPU of our side and of sshd, seconds. */
  readonly own: number
  readonly sshd: number
}

const us = (cost: number): string => `${(cost * 1e6).toFixed(0)} us`

const node = await ssh2(intervalMs)
const idle = await ssh2(0)
const peer = await openSsh(peerInterval)
const peerIdle = await openSsh(0)
const [sent, peerSent] = [
  connections * seconds * (1000 / intervalMs),
  connections * (seconds / peerInterval),
]
const own = (node.own - idle.own) / sent
const sshd = (node.sshd - idle.sshd) / sent
const theirs = (peer.own - peerIdle.own) / peerSent
const share = (own * 1000) / usualInterval
console.log(`keepalive: ${us(own)} of CPU here, ${us(sshd)} in the sshd of the builder`)
console.log(
  `peer: ${us(theirs)} in ssh with ServerAliveInterval, ratio ${(own / theirs).toFixed(2)} (goal: at most 3)`,
)
console.log(
  `1,000 builders, one each ${usualInterval} s: ${(share * 100).toFixed(1)} % of a core (goal: under 5); a builder: ${(((sshd * 3600) / usualInterval) * 1000).toFixed(0)} ms of CPU an hour`,
)
if (own > theirs * 3 || share > 0.05) process.exitCode = 1

/** Idle connections of this project with such keepalives; 0 for none. */
async function ssh2(interval: number): Promise<Cost> {
  const dial = createDial({
    run: createRun(),
    clock: systemClock,
    env: process.env,
    nix: () => ({ version: '2.34.8', system: 'x86_64-linux' }),
    resolve: () => aTarget({ hostname: host, user: 'remotebuild', identityFiles: [key] }),
    keepalive: () => ({ intervalMs: interval, countMax: 3 }),
  })
  const open: Connection[] = []
  for (let i = 0; i < connections; i++) {
    const builder = aBuilder({
      host,
      user: 'remotebuild',
      sshKey: key,
      publicHostKey: readFileSync(hostKey).toString('base64'),
    })
    const { outcome, connection } = await dial(builder, AbortSignal.timeout(20_000))
    if (!connection) throw new Error(`no login: ${JSON.stringify(outcome)}`)
    open.push(connection)
  }
  const cost = await measure(() => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  for (const one of open) one.close()
  return cost
}

/** Idle connections of OpenSSH. */
async function openSsh(interval: number): Promise<Cost> {
  const clients = Array.from({ length: connections }, () =>
    spawn(
      'ssh',
      [
        ...['-o', 'BatchMode=yes', '-o', `ServerAliveInterval=${interval}`, '-i', key],
        ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
        ...['-F', 'none', `remotebuild@${host}`, 'echo ready; exec cat'],
      ],
      { stdio: ['pipe', 'pipe', 'ignore'] },
    ),
  )
  try {
    await Promise.all(
      clients.map(one => new Promise(resolve => one.stdout.once('data', resolve))),
    )
    return await measure(() => clients.reduce((sum, { pid }) => sum + cpuOf(pid), 0))
  } finally {
    for (const one of clients) one.kill()
  }
}

async function measure(readOwn: () => number): Promise<Cost> {
  // What a login leaves to do is not what a keepalive costs
  await sleep(2000)
  const before = { own: readOwn(), sshd: sshdCpu() }
  await sleep(seconds * 1000)
  return { own: readOwn() - before.own, sshd: sshdCpu() - before.sshd }
}

/** CPU of all sshd processes of this machine, the nodes of the lab included, seconds. */
function sshdCpu(): number {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && /^sshd/.test(read(`/proc/${name}/comm`)))
    .reduce((sum, name) => sum + cpuOf(Number(name)), 0)
}

/** Seconds on a CPU (/proc/PID/schedstat, nanoseconds). */
function cpuOf(pid: number | undefined): number {
  return Number(read(`/proc/${pid}/schedstat`).split(' ')[0]) / 1e9
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
