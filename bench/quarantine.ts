/**
 * Wall time of 30 real derivations on three builders of which one has failed: with quarantine, without it, and on the
 * healthy fleet, in the same run. Needs the lab (test/lab/lab.sh up) and a build (npm run build).
 * Run: npm run bench:lab
 * Goals: at most 1.15 times the healthy time when the fault is known; when a build meets it first, 8 s more for a black hole.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startFleet } from '../test/lab/quarantine-fleet.ts'
import { fault, heal, labDir, type Client } from '../test/lab/support.ts'

const client = (process.env['BENCH_CLIENT'] ?? 'c3') as Client
const faults = (process.env['BENCH_FAULTS'] ?? 'sshd-stop link-down blackhole').split(' ')
const derivations = 30

if (!existsSync(join(labDir, 'nodes', client))) {
  console.log('quarantine: no lab here (test/lab/lab.sh up), nothing measured')
  process.exit(0)
}

type Fleet = Awaited<ReturnType<typeof startFleet>>

/** The build is ended after this time, seconds. */
const maxSeconds = 300
/** Exit code of timeout(1). */
const timedOut = 124

/** Seconds of one build, at most `maxSeconds`; null when it fails. */
const timed = async (fleet: Fleet, tag: string): Promise<number | null> => {
  const started = performance.now()
  const ran = await fleet.build(`${tag}-${Date.now()}`, derivations, 0)
  if (ran.exit === timedOut) return maxSeconds
  if (ran.exit !== 0) return null
  return (performance.now() - started) / 1000
}

/** The fastest of two builds; throws when one fails. */
const fastest = async (fleet: Fleet, tag: string): Promise<number> => {
  const all = [await timed(fleet, tag), await timed(fleet, tag)]
  return Math.min(
    ...all.map(seconds => {
      if (seconds === null) throw new Error(`the build ${tag} failed`)
      return seconds
    }),
  )
}

interface Row {
  readonly healthy: number
  readonly known: number
  /** Null where the builder fails the builds that it accepted. */
  readonly first: number | null
  readonly without: number | null
}

const measure = async (name: string): Promise<Row> => {
  const plain = await startFleet(client, null)
  await fault('b2', name)
  const without = await timed(plain, 'without')
  await heal('b2')
  await plain.stop()
  const fleet = await startFleet(client, { enable: true, abortHungConnects: true })
  try {
    const healthy = await fastest(fleet, 'healthy')
    await fault('b2', name)
    const first = await timed(fleet, 'first')
    await fleet.until('the quarantine', 'b2', 60, one => one.hold !== null)
    const known = await fastest(fleet, 'known')
    return { healthy, known, first, without }
  } finally {
    await heal('b2')
    await fleet.stop()
  }
}

console.log(`client ${client}, ${derivations} derivations, seconds:`)
console.log('fault        healthy   known  ratio   first    more  without')
for (const name of faults) {
  const { healthy, known, first, without } = await measure(name)
  const more = first === null ? null : first - healthy
  const columns = [healthy, known, known / healthy, first, more, without]
  const texts = columns.map(one => (one === null ? 'fails' : one.toFixed(2)).padStart(8))
  console.log(`${name.padEnd(11)}${texts.join('')}`)
}
