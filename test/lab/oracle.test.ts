/**
 * The result of `check --canary --json` against the expectation of each row and against a real build, the oracle: both
 * protocols, three versions of Nix on the builders, two on the clients. The set-ups are in rows/; each is injected once.
 */
import { readFile, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { fixesText } from '../../src/diagnosis/kinds/index.ts'
import type { State } from '../../src/model/index.ts'
import {
  checkTogether,
  injectAll,
  planOf,
  sliceOf,
  slices,
  turns,
  type RowResult,
} from './inject.ts'
import { contradiction } from './oracle.ts'
import { rows } from './rows/index.ts'
import { matchExpected, describeResult, scoreOf } from './score.ts'
import { builders, scoreFile } from './support.ts'

t.setTimeout(3_000_000)

const assertResult = (
  t: Test,
  { builder, expected, where, answer, build }: RowResult,
) => {
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
  if (build)
    t.equal(contradiction(build, builder, answer), null, `${label}: agrees with Nix`, {
      build,
    })
}

const exitOf: Readonly<Partial<Record<State, number>>> = {
  healthy: 0,
  degraded: 1,
  down: 2,
  unknown: 3,
}

const report = new URL('../../docs/reliability.md', import.meta.url)

/** Writes the score into docs/reliability.md. */
const writeReport = async (text: string, turn: number | null) => {
  const page = await readFile(report, 'utf8')
  const scope =
    turn === null ? 'every pair of versions' : 'one pair of versions per set-up'
  const date = new Date().toISOString().slice(0, 10)
  const score = `${date}, ${scope}:\n\n\`\`\`text\n${text}\n\`\`\``
  await writeFile(
    report,
    page.replace(
      /<!-- generated: score -->[\s\S]*<!-- end -->/,
      () => `<!-- generated: score -->\n${score}\n<!-- end -->`,
    ),
  )
}

const scoreOnly = process.env['LAB_SCORE'] === '1'
const namePattern = process.env['LAB_ROWS']
const turn =
  process.env['LAB_ALL'] === '1'
    ? null
    : Number(process.env['LAB_TURN'] || Math.floor(Date.now() / 86_400_000)) %
      (slices * turns)
const selected = namePattern
  ? rows.filter(({ name }) => new RegExp(namePattern).test(name))
  : sliceOf(rows, turn)
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
  if (process.env['LAB_REPORT'] === '1') await writeReport(score.text, turn)
  t.comment(
    `named ${score.named} of ${score.of}, agrees with the real build in ${score.agrees} of ${score.compared}`,
  )
  // Depends on the load of this machine, so it must not fail CI
  if (scoreOnly) t.equal(score.late, 0, 'no result is late')
})
