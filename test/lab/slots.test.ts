/** Slots that real Nix clients of every version hold while they build. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { SlotsValue } from '../../src/model/index.ts'
import {
  atClient,
  inNode,
  lab,
  machineLine,
  shared,
  waitFor,
  type Answer,
  type Client,
} from './support.ts'

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'
const clients: readonly (readonly [client: Client, nix: string])[] = [
  ['c1', '2.8'],
  ['c2', '2.26'],
  ['c3', '2.34'],
]

/** Builds that wait in `sleep SECONDS`; the number of seconds identifies the test that ends them. */
const builds = (count: number, seconds: number) => `
builtins.genList (i: derivation {
  name = "slot-test-\${toString i}";
  system = "x86_64-linux";
  builder = "/bin/sh";
  args = [ "-c" "sleep ${seconds}; echo $nonce > $out" ];
  PATH = "/usr/bin:/bin";
  nonce = "\${toString builtins.currentTime}-\${toString i}";
}) ${count}`

t.jobs = clients.length
for (const [i, [client, nix]] of clients.entries())
  void t.test(`client of Nix ${nix}`, { skip }, async t => {
    const dir = await shared()
    t.teardown(dir.drop)
    const seconds = 301 + i
    const endBuilds = () =>
      Promise.all(
        (['b1', 'b2', 'b3'] as const).map(node =>
          inNode(node, `pkill -f '^sleep ${seconds}$'; true`),
        ),
      )
    t.teardown(endBuilds)
    const lines = [
      machineLine({ scheme: 'ssh-ng', host: 'b1' }),
      machineLine({ scheme: 'ssh', host: 'b2' }).replace('@b2', '@b2?compress=true'),
      machineLine({ scheme: 'ssh-ng', host: 'b3' }),
    ]
    await writeFile(join(dir.outside, 'machines'), lines.map(l => `${l}\n`).join(''))
    await writeFile(join(dir.outside, 'builds.nix'), builds(4, seconds))
    const config = { NIX_CONFIG: `builders = @${dir.inside}/machines` }
    const checkSlots = async () => {
      const ran = await lab(
        [
          ...['client', client, 'node', '/lab/project/dist/main.js', 'check', '--json'],
          ...['--config', `${dir.inside}/config.json`],
        ],
        config,
      )
      const answer = JSON.parse(ran.stdout) as Answer
      return answer.builders.map(({ probes }) => probes.slots)
    }
    const slots = async () =>
      (await checkSlots()).map(probe => probe?.value as SlotsValue)
    // A very short time, so that every build of this test is an old one
    await writeFile(
      join(dir.outside, 'config.json'),
      JSON.stringify({ slots: { stuckAfterHours: 0.0005 } }),
    )
    const before = await slots()
    t.same(
      before.map(({ inUse }) => inUse),
      [[], [], []],
    )

    const started = Date.now() / 1000
    const build = atClient(
      client,
      `cd /tmp && NIX_REMOTE=daemon nix-build --no-out-link --max-jobs 0 --option substitute false ${dir.inside}/builds.nix`,
      config,
    )
    const during = await waitFor('four slots', 60, async () => {
      const values = await slots()
      return values.flatMap(({ inUse: held }) => held).length === 4 ? values : null
    })
    const held = during.flatMap(value => value.inUse)
    t.equal(new Set(held.map(({ pid }) => pid)).size, 4, 'one hook per build')
    for (const { since } of held)
      t.ok(since > started - 2 && since < Date.now() / 1000 + 2, `since ${since}`)
    for (const { inUse: held, configured } of during) {
      t.equal(configured, 2)
      t.ok(held.length >= 1, 'every builder has a build')
    }
    const old = await waitFor('old builds', 60, async () => {
      const probes = await checkSlots()
      const held = probes.flatMap(probe => (probe?.value as SlotsValue).inUse)
      return held.length === 4 && held.every(({ hasSsh }) => hasSsh !== undefined)
        ? probes
        : null
    })
    for (const probe of old) t.match(probe, { status: 'ok' }, 'a long build is not stuck')
    await endBuilds()
    const ran = await build
    t.equal(ran.exit, 0, ran.stderr.slice(-1000))
    t.same(
      (await slots()).map(({ inUse: held }) => held),
      [[], [], []],
      'the slots are free again',
    )

    // The same lock, held by a process without a connection
    const file = `/nix/var/nix/current-load/ssh-ng:__remotebuild@b3-0`
    const hook = atClient(client, `timeout 120 flock -x ${file} sleep 119`)
    const stuck = await waitFor('a stuck slot', 100, async () => {
      const probes = await checkSlots()
      return probes.some(probe => probe?.status === 'degraded') ? probes : null
    })
    t.match(stuck[2], { status: 'degraded', kind: 'slot_stuck' })
    t.match(stuck.slice(0, 2), [{ status: 'ok' }, { status: 'ok' }])
    // The child of flock also holds the lock
    await atClient(client, "pkill -f 'sleep 119'")
    await hook
  })
