/** The score counts only correct results, and the plan covers every pair of versions. */
import t from 'tap'
import { planOf, sliceOf, slices, turns, type Plan, type RowResult } from './inject.ts'
import { always, down, healthy, type Expected, type Row } from './rows/row.ts'
import { rows } from './rows/index.ts'
import { sharedMaxSeconds, maxSeconds, scoreOf } from './score.ts'
import { kinds } from '../../src/diagnosis/kinds/index.ts'
import { nodes, type BuilderAnswer } from './support.ts'

const refused = down('tcp_refused', 'remote', /start/)
const row: Row = { name: 'sshd stopped', faults: ['sshd-stop'], expect: always(refused) }
const where = { client: 'c3', node: 'b1', scheme: 'ssh' } as const
const builderOf = (state: BuilderAnswer['state'], kind?: string): BuilderAnswer => ({
  name: 'b1',
  storeUri: 'ssh://b1',
  state,
  verified: false,
  cause: kind
    ? { probe: 'login', kind, side: 'remote', reason: '', fixes: [{ text: 'start it' }] }
    : null,
  probes: {},
})
const rowResult = (builder: BuilderAnswer, more: Partial<RowResult> = {}): RowResult => ({
  row,
  where,
  expected: refused,
  builder,
  answer: {
    state: 'down',
    builders: [],
    problems: [],
    sharedCauses: [],
    client: { checks: {} },
  },
  seconds: 1,
  build: null,
  ...more,
})

void t.test('counts only results with the expected state, kind and side', async t => {
  const score = scoreOf([
    rowResult(builderOf('down', 'tcp_refused')),
    rowResult(builderOf('degraded', 'tcp_refused')),
    rowResult(builderOf('down', 'tcp_timeout')),
    rowResult(builderOf('healthy')),
  ])
  t.strictSame([score.named, score.of], [1, 4])
  t.match(score.text, 'named 1 of 4')
  t.match(score.text, 'down tcp_refused (remote) -> down tcp_timeout (remote)')
  t.match(score.text, 'down tcp_refused (remote) -> healthy')
})

void t.test('counts the other accepted result of a row', async t => {
  const expected: Expected = { ...healthy, or: refused }
  const score = scoreOf([rowResult(builderOf('down', 'tcp_refused'), { expected })])
  t.equal(score.named, 1)
})

void t.test('counts late results, except of rows whose fault is a wait', async t => {
  const builder = builderOf('down', 'tcp_refused')
  const seconds = maxSeconds + 1
  const isLong = { ...row, isLong: true }
  const score = scoreOf([
    rowResult(builder, { seconds }),
    rowResult(builder, { seconds, row: isLong }),
  ])
  t.equal(score.late, 1)
  const inSharedRun = { ...row, faults: undefined }
  const alone = { ...row, faults: ['sshd-stop'] }
  const late = (row: object, seconds: number) =>
    scoreOf([rowResult(builder, { seconds, row: row as Row })]).late
  t.equal(late(alone, maxSeconds + 1), 1)
  t.equal(late(inSharedRun, maxSeconds + 1), 0)
  t.equal(late(inSharedRun, sharedMaxSeconds + 1), 1)
})

void t.test(
  'each turn tests one pair of versions, all turns together test every pair',
  async t => {
    const pairsOf = (plans: readonly Plan[]) =>
      plans.flatMap(({ on, clients }) =>
        clients.flatMap(client => on.map(node => `${client} ${node}`)),
      )
    for (const tested of [row, ...rows]) {
      const pairsByTurn = Array.from({ length: turns }, (_, turn) =>
        pairsOf(planOf([row, tested, tested], turn)),
      )
      t.ok(pairsByTurn.every(pairs => pairs.length === 3))
      const all = new Set(pairsOf(planOf([tested], null)))
      t.strictSame(new Set(pairsByTurn.map(pairs => pairs[1])), all, tested.name)
    }
    t.strictSame(planOf([row], null)[0]?.on, nodes)
  },
)

void t.test('all slices together are all rows', async t => {
  const tested = Array.from({ length: slices }, (_, i) => sliceOf(rows, i * turns))
  t.equal(new Set(tested.flat()).size, rows.length)
  t.equal(tested.flat().length, rows.length)
  t.strictSame(sliceOf(rows, null), rows)
})

void t.test('rows have unique names and expect existing kinds', async t => {
  t.equal(new Set(rows.map(({ name }) => name)).size, rows.length)
  for (const { name, expect } of rows.filter(({ line }) => !line)) {
    const { kind, side } = expect(where)
    if (kind === null) continue
    t.equal(kinds[kind as keyof typeof kinds]?.side, side, `${name}: ${kind}`)
  }
})

void t.test('counts results that contradict the real build', async t => {
  const built = { ended: 'built', seconds: 0.4, output: '' } as const
  const failed = { ended: 'failed', seconds: 0.4, output: 'error' } as const
  const score = scoreOf([
    rowResult(builderOf('down', 'tcp_refused'), { build: failed }),
    rowResult(builderOf('down', 'tcp_refused'), { build: built }),
    rowResult(builderOf('healthy'), { build: failed }),
    rowResult(builderOf('unknown'), { build: built }),
    rowResult(builderOf('healthy')),
  ])
  t.strictSame([score.agrees, score.compared], [2, 4])
  t.match(score.text, 'agrees with the real build in 2 of 4')
  t.match(score.text, 'false red: down (tcp_refused), but Nix builds in 0.4 s')
  t.match(score.text, 'false green: healthy, but the build fails')
})
