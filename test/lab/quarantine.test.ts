/**
 * Real builds through a real nix-daemon while a builder fails: drained and quarantined builders get no builds, no build
 * fails, and a builder that works again gets builds again. Times are measured by bench/quarantine.ts.
 */
import t, { type Test } from 'tap'
import type { BuilderReport } from '../../src/diagnosis/report.ts'
import { startFleet } from './quarantine-fleet.ts'
import { fault, heal, inNode, nodes, waitFor, type Client } from './support.ts'

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'
t.setTimeout(900_000)

/** A fleet that stops at the end of the test. */
const fleetOf = async (t: Test, client: Client, quarantine: object) => {
  const fleet = await startFleet(client, quarantine)
  t.teardown(fleet.stop)
  return fleet
}

const isHeld = ({ hold }: BuilderReport) => hold !== null && hold.held === hold.total

t.test('drain', { skip }, async t => {
  const fleet = await fleetOf(t, 'c2', {})
  const unknown = await fleet.command('drain b9')
  t.equal(unknown.exit, 3)
  t.match(unknown.stderr, /no builder is called b9, did you mean b1\?/)
  const wrong = await fleet.command('drain b1 --for 2x')
  t.equal(wrong.exit, 3)
  t.match(
    wrong.stderr,
    /--for 2x is not a duration up to a year: write 90s, 30m, 2h or 7d/,
  )

  const seconds = 397
  const endBuilds = () =>
    Promise.all(nodes.map(node => inNode(node, `pkill -f '^sleep ${seconds}$'; true`)))
  t.teardown(endBuilds)
  const running = fleet.build('running', 6, seconds)
  await waitFor('a build on each builder', 60, async () => {
    const counts = await Promise.all(
      nodes.map(node => inNode(node, `pgrep -fc "^sleep ${seconds}$"; true`)),
    )
    return counts.every(count => Number(count) > 0) ? true : null
  })
  const drained = await fleet.command("drain b1 --for 2h --reason 'new disk'")
  t.equal(drained.exit, 0, drained.stderr)
  t.match(drained.stdout, /drained for 2 h 0 m: b1\nb1: \d builds? of this machine runs?/)
  t.match(await fleet.builder('b1'), {
    state: 'drained',
    drain: { reason: 'new disk', by: 'root' },
    hold: { total: 8 },
  })
  const others = await fleet.build('others', 12, 0)
  t.equal(others.exit, 0, others.stderr.slice(-500))
  t.notOk(others.on.has('b1'), 'no new build starts there')
  const waiting = fleet.command('drain b1 --wait')
  await endBuilds()
  t.equal((await running).exit, 0, 'running builds end undisturbed')
  const waited = await waiting
  t.equal(waited.exit, 0, waited.stderr)
  t.match(waited.stdout, /no builds of this machine run there\n$/)
  const ended = await fleet.command('undrain b1')
  t.match(ended.stdout, /drain ended: b1/)
  t.equal((await fleet.command('undrain b1')).exit, 3, 'not drained any more')
  const after = await fleet.build('after', 12, 3)
  t.ok(after.on.has('b1'), 'it gets builds again')
})

interface Fault {
  readonly name: string
  readonly kinds: RegExp
  /** Seconds until the fault is certain. */
  readonly within: number
}
const faults: readonly Fault[] = [
  { name: 'sshd-stop', kinds: /^tcp_refused$/, within: 30 },
  { name: 'blackhole', kinds: /^tcp_timeout$/, within: 40 },
  { name: 'link-down', kinds: /^tcp_(?:unreachable|timeout)$/, within: 40 },
  { name: 'daemon-stop', kinds: /^daemon_down$/, within: 30 },
  { name: 'hostkey', kinds: /^host_key_changed$/, within: 40 },
  { name: 'disk-full', kinds: /^disk_full$/, within: 90 },
  { name: 'tarpit', kinds: /^banner_timeout$/, within: 120 },
]
const clients = ['c1', 'c2', 'c3'] as const
/** A normal run tests a few, others each day. */
const turn = Number(process.env['LAB_TURN'] ?? Math.floor(Date.now() / 86_400_000) % 12)
const perRun = 2
const chosen = faults
  .map((one, i) => ({ ...one, client: clients[(i + turn) % clients.length] ?? 'c3' }))
  .filter(
    (_, i) =>
      process.env['LAB_ALL'] === '1' ||
      (i - turn * perRun + 12 * faults.length) % faults.length < perRun,
  )

for (const { name, kinds, within, client } of chosen)
  t.test(`quarantine: ${name}, ${client}`, { skip }, async t => {
    t.teardown(() => heal('b2'))
    const fleet = await fleetOf(t, client, { enable: true, abortHungConnects: true })
    await fault('b2', name)
    const quarantined = await fleet.until(
      'the quarantine',
      'b2',
      within,
      one => one.quarantine?.phase === 'quarantined' && isHeld(one),
    )
    t.match(quarantined.quarantine?.kind, kinds)
    const during = await fleet.build('during', 12, 2)
    t.equal(during.exit, 0, during.stderr.slice(-500))
    t.same([...during.on].sort(), ['b1', 'b3'], 'the other builders build')
    t.notMatch(during.stderr, /cannot build on/, 'Nix does not even try')
    await heal('b2')
    await fleet.until(
      'the end of the quarantine',
      'b2',
      120,
      one => one.quarantine?.phase === 'probation' && one.hold === null,
    )
    const after = await fleet.build('after', 12, 3)
    t.equal(after.exit, 0, after.stderr.slice(-500))
    t.ok(after.on.has('b2'), 'it gets builds again')
  })

t.test('a black hole that a build meets first', { skip }, async t => {
  t.teardown(() => heal('b2'))
  const fleet = await fleetOf(t, 'c3', { enable: true, abortHungConnects: true })
  await fault('b2', 'blackhole')
  const started = performance.now()
  // Each build lasts, so that Nix spreads them over all builders
  const middle = await fleet.build('middle', 30, 2)
  t.equal(middle.exit, 0, middle.stderr.slice(-500))
  t.match(middle.stderr, /cannot build on 'ssh-ng:\/\/remotebuild@b2'/)
  t.ok(performance.now() - started < 100_000, 'nobody waited for the kernel (130 s)')
  await fleet.until('the quarantine', 'b2', 10, one => one.quarantine !== null)
  t.match(fleet.holderOutput(), /ended an ssh that hung in its connect/)
})
