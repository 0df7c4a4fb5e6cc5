/**
 * `check --canary --json` against real builders with real faults: for both protocols, three versions of Nix on the
 * builders, and two where the builds are sent from. The rows are in rows/; each is injected once, and gives asserts and
 * a line of the score.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fixesText } from '../../src/diagnosis/kinds/index.ts'
import type { State } from '../../src/model/index.ts'
import { askTogether, injectAll, planOf, turns, type Asked } from './inject.ts'
import { rows } from './rows/index.ts'
import { rightAnswer, saidBy, scoreOf } from './score.ts'
import {
  atClient,
  builders,
  check,
  clientNames,
  clients,
  nodes,
  schemes,
  scoreFile,
  shared,
  uriOf,
  type Line,
} from './support.ts'

t.setTimeout(1_500_000)

const holds = (t: Test, { builder, expected, where, whole }: Asked) => {
  const { cause } = builder
  const label = `${where.scheme} from ${where.client} to Nix ${builders[where.node]}`
  const right = rightAnswer(builder, expected)
  t.ok(right, `${label}: ${expected.state} ${expected.kind ?? ''}`, {
    uri: builder.storeUri,
    found: saidBy(builder),
    reason: cause?.reason,
    evidence: cause?.evidence,
    login: right ? undefined : builder.probes.login,
  })
  if (right?.fix)
    t.match(fixesText(cause?.fixes ?? []), right.fix, `${label}: names the fix`)
  right?.also?.(t, builder, where, whole)
}

const exitOf: Readonly<Partial<Record<State, number>>> = {
  healthy: 0,
  degraded: 1,
  down: 2,
  unknown: 3,
}

const scoreAlone = process.env['LAB_SCORE'] === '1'
const only = process.env['LAB_ROWS'] // words of the names of rows
const chosen = rows.filter(({ name }) => !only || new RegExp(only).test(name))
const turn =
  process.env['LAB_ALL'] === '1'
    ? null
    : Number(process.env['LAB_TURN'] || Math.floor(Date.now() / 86_400_000) % turns)
const plans = planOf(chosen, turn)

void t.test('every fault is named', async t => {
  if (turn !== null)
    t.comment(`one version of builder and client for each fault: LAB_TURN=${turn}`)
  const together = await askTogether(plans.filter(({ row }) => !row.faults))
  const injected = await injectAll(plans.filter(({ row }) => row.faults))
  const asked = [...together, ...injected.flatMap(one => one.asked)]
  for (const row of chosen)
    await t.test(row.name, t => {
      for (const one of asked.filter(one => one.row === row)) holds(t, one)
      for (const { runs, complaints } of injected.filter(one => one.row === row)) {
        t.strictSame(complaints, [], 'the fault was made and held')
        for (const { client, exit, asked } of runs) {
          const states = new Set(asked.map(({ builder }) => builder.state))
          if (states.size === 1)
            t.equal(exit, exitOf[[...states][0] ?? 'unknown'], `${client}: exit code`)
        }
      }
      t.end()
    })
  const score = scoreOf(asked)
  const slow = injected.toSorted((a, b) => b.seconds - a.seconds).slice(0, 8)
  const costs = slow.map(
    one => `  ${one.seconds.toFixed(1).padStart(5)} s  ${one.row.name}`,
  )
  await writeFile(
    scoreFile,
    ['rows that cost most:', ...costs, score.text, ''].join('\n'),
  )
  t.comment(`named ${score.named} of ${score.of}`)
  // a figure of this machine: what it shares with other work must not fail a run of CI
  if (scoreAlone) t.equal(score.late, 0, 'no answer is late')
})

// ------------------------------------------------------------------------------------------- what a canary leaves alone

for (const client of scoreAlone ? [] : clientNames)
  void t.test(`from Nix ${clients[client]} a canary`, async t => {
    const lines = nodes.flatMap(node =>
      schemes.map((scheme): Line => ({ scheme, host: node })),
    )
    const dir = await shared()
    const hook = join(dir.outside, 'hook')
    const called = `${dir.inside}/called`
    const config = `post-build-hook = ${dir.inside}/hook`
    await writeFile(hook, `#!/bin/sh\necho "$DRV_PATH $OUT_PATHS" >>${called}\n`, {
      mode: 0o755,
    })

    await t.test('ends well and leaves nothing here', async t => {
      // the local store is only looked at: a canary has one of its own
      const look =
        'ls -A /tmp; ls -A /nix/store /nix/var/nix/gcroots/auto 2>/dev/null; ls -A /root' +
        (client === 'host' ? '' : '; ps -e -o comm= | grep -v -x -e ps -e sh | sort')
      const before = await atClient(client, look)
      const answer = await check({ client, lines })
      const after = await atClient(client, look)
      t.equal(answer.exit, 0, 'the fleet is healthy', { stderr: answer.stderr })
      t.equal(after.stdout, before.stdout, 'no file, no store path, no root, no process')
    })
    await t.test('does not reach a post-build-hook', async t => {
      const answer = await check({ client, lines, config })
      t.equal(answer.answer.state, 'healthy', 'the hook is no obstacle')
      t.ok(
        answer.answer.builders.every(b => b.verified),
        'every builder built',
      )
      const seen = await atClient(client, `cat ${called}`)
      t.equal(seen.stdout, '', 'the hook saw no canary')
      const nonce = Math.random().toString(36)
      const drv = `derivation { name = "hook"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; n = "${nonce}"; }`
      const built = await atClient(client, `nix-build --no-out-link -E '${drv}'`, {
        NIX_CONFIG: `${config}\nbuilders =`,
      })
      const control = await atClient(client, `cat ${called}`)
      t.match(control.stdout, /-hook/, 'and yet it works', { stderr: built.stderr })
    })
    await dir.drop()
  })

void t.test('only the builders that are named are asked', async t => {
  const lines = nodes.map((node): Line => ({ scheme: 'ssh-ng', host: node }))
  const answer = await check({
    client: 'c3',
    lines,
    args: ['check', 'b2', '--canary', '--json'],
  })
  t.strictSame(
    answer.answer.builders.map(b => b.storeUri),
    lines.filter(({ host }) => host === 'b2').map(uriOf),
  )
})
