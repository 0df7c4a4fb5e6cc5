/**
 * `check --canary --json` against real builders with real faults: both protocols, three versions of Nix on the
 * builders, two on the clients. The faults are in rows/; each is injected once and gives assertions and a line of the
 * score.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fixesText } from '../../src/diagnosis/kinds/index.ts'
import type { State } from '../../src/model/index.ts'
import { checkTogether, injectAll, planOf, turns, type RowResult } from './inject.ts'
import { rows } from './rows/index.ts'
import { matchExpected, describeResult, scoreOf } from './score.ts'
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

const assertResult = (t: Test, { builder, expected, where, answer }: RowResult) => {
  const { cause } = builder
  const label = `${where.scheme} from ${where.client} to Nix ${builders[where.node]}`
  const matched = matchExpected(builder, expected)
  t.ok(matched, `${label}: ${expected.state} ${expected.kind ?? ''}`, {
    uri: builder.storeUri,
    actual: describeResult(builder),
    reason: cause?.reason,
    evidence: cause?.evidence,
    login: matched ? undefined : builder.probes.login,
  })
  if (matched?.fix)
    t.match(fixesText(cause?.fixes ?? []), matched.fix, `${label}: names the fix`)
  matched?.also?.(t, builder, where, answer)
}

const exitOf: Readonly<Partial<Record<State, number>>> = {
  healthy: 0,
  degraded: 1,
  down: 2,
  unknown: 3,
}

const scoreOnly = process.env['LAB_SCORE'] === '1'
const namePattern = process.env['LAB_ROWS']
const selected = rows.filter(
  ({ name }) => !namePattern || new RegExp(namePattern).test(name),
)
const turn =
  process.env['LAB_ALL'] === '1'
    ? null
    : Number(process.env['LAB_TURN'] || Math.floor(Date.now() / 86_400_000) % turns)
const plans = planOf(selected, turn)

void t.test('reports every fault', async t => {
  if (turn !== null)
    t.comment(`one version of builder and client for each fault: LAB_TURN=${turn}`)
  const sharedRuns = await checkTogether(plans.filter(({ row }) => !row.faults))
  const injected = await injectAll(plans.filter(({ row }) => row.faults))
  const results = [...sharedRuns, ...injected.flatMap(({ results }) => results)]
  for (const row of selected)
    await t.test(row.name, t => {
      for (const result of results.filter(result => result.row === row))
        assertResult(t, result)
      for (const { runs, problems } of injected.filter(plan => plan.row === row)) {
        t.strictSame(problems, [], 'the fault was injected and stayed active')
        for (const { client, exit, results } of runs) {
          const states = new Set(results.map(({ builder }) => builder.state))
          if (states.size === 1)
            t.equal(exit, exitOf[[...states][0] ?? 'unknown'], `${client}: exit code`)
        }
      }
      t.end()
    })
  const score = scoreOf(results)
  const slow = injected.toSorted((a, b) => b.seconds - a.seconds).slice(0, 8)
  const costs = slow.map(
    ({ row, seconds }) => `  ${seconds.toFixed(1).padStart(5)} s  ${row.name}`,
  )
  await writeFile(scoreFile, ['slowest rows:', ...costs, score.text, ''].join('\n'))
  t.comment(`named ${score.named} of ${score.of}`)
  // Depends on the load of this machine, so it must not fail CI
  if (scoreOnly) t.equal(score.late, 0, 'no result is late')
})

// ------------------------------------------------------------------------------------------- side effects of a canary

for (const client of scoreOnly ? [] : clientNames)
  void t.test(`a canary from Nix ${clients[client]}`, async t => {
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

    await t.test('succeeds and leaves nothing on the client', async t => {
      // A canary has its own store, so the local one must not change
      const listClient =
        'ls -A /tmp; ls -A /nix/store /nix/var/nix/gcroots/auto 2>/dev/null; ls -A /root' +
        (client === 'host'
          ? ''
          : '; processes=$(ps -e -o comm=); echo "$processes" | grep -v -x -e ps -e sh | sort')
      const before = await atClient(client, listClient)
      const ran = await check({ client, lines })
      const after = await atClient(client, listClient)
      t.equal(ran.exit, 0, 'the fleet is healthy', { stderr: ran.stderr })
      t.equal(
        after.stdout,
        before.stdout,
        'no file, store path, GC root or process is left',
      )
    })
    await t.test('does not run the post-build-hook', async t => {
      const { answer } = await check({ client, lines, config })
      t.equal(answer.state, 'healthy', 'the fleet is healthy with a hook')
      t.ok(
        answer.builders.every(b => b.verified),
        'every builder is verified',
      )
      const calls = await atClient(client, `cat ${called}`)
      t.equal(calls.stdout, '', 'no canary called the hook')
      const nonce = Math.random().toString(36)
      const drv = `derivation { name = "hook"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; n = "${nonce}"; }`
      const built = await atClient(client, `nix-build --no-out-link -E '${drv}'`, {
        NIX_CONFIG: `${config}\nbuilders =`,
      })
      const control = await atClient(client, `cat ${called}`)
      t.match(control.stdout, /-hook/, 'another build calls it', { stderr: built.stderr })
    })
    await dir.drop()
  })

void t.test('checks only the named builders', async t => {
  const lines = nodes.map((node): Line => ({ scheme: 'ssh-ng', host: node }))
  const { answer } = await check({
    client: 'c3',
    lines,
    args: ['check', 'b2', '--canary', '--json'],
  })
  t.strictSame(
    answer.builders.map(b => b.storeUri),
    lines.filter(({ host }) => host === 'b2').map(uriOf),
  )
})
