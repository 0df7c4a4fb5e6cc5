/** The score itself: it must not flatter. */
import t from 'tap'
import { planOf, turns, type Asked, type Plan } from './inject.ts'
import { always, down, healthy, type Expected, type Row } from './rows/row.ts'
import { rows } from './rows/index.ts'
import { crowdPatienceSeconds, patienceSeconds, scoreOf } from './score.ts'
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
const asked = (builder: BuilderAnswer, more: Partial<Asked> = {}): Asked => ({
  row,
  where,
  expected: refused,
  builder,
  whole: {
    state: 'down',
    builders: [],
    problems: [],
    sharedCauses: [],
    client: { checks: {} },
  },
  seconds: 1,
  ...more,
})

void t.test('only the right state, kind and side count', async t => {
  const score = scoreOf([
    asked(builderOf('down', 'tcp_refused')),
    asked(builderOf('degraded', 'tcp_refused')),
    asked(builderOf('down', 'tcp_timeout')),
    asked(builderOf('healthy')),
  ])
  t.strictSame([score.named, score.of], [1, 4])
  t.match(score.text, 'named 1 of 4')
  t.match(score.text, 'down tcp_refused (remote) -> down tcp_timeout (remote)')
  t.match(score.text, 'down tcp_refused (remote) -> healthy')
})

void t.test('another right answer counts, where a row has one', async t => {
  const expected: Expected = { ...healthy, or: refused }
  const score = scoreOf([asked(builderOf('down', 'tcp_refused'), { expected })])
  t.equal(score.named, 1)
})

void t.test('late answers are counted, where waiting is not the fault', async t => {
  const builder = builderOf('down', 'tcp_refused')
  const seconds = patienceSeconds + 1
  const isLong = { ...row, isLong: true }
  const score = scoreOf([
    asked(builder, { seconds }),
    asked(builder, { seconds, row: isLong }),
  ])
  t.equal(score.late, 1)
  const inCrowd = { ...row, faults: undefined }
  const alone = { ...row, faults: ['sshd-stop'] }
  const late = (of: object, seconds: number) =>
    scoreOf([asked(builder, { seconds, row: of as typeof row })]).late
  t.equal(late(alone, patienceSeconds + 1), 1)
  t.equal(late(inCrowd, patienceSeconds + 1), 0)
  t.equal(late(inCrowd, crowdPatienceSeconds + 1), 1)
})

void t.test(
  'each turn has one pair of versions, and all turns have them all',
  async t => {
    const pairsOf = (plans: readonly Plan[]) =>
      plans.flatMap(({ on, clients }) =>
        clients.flatMap(client => on.map(node => `${client} ${node}`)),
      )
    for (const one of [row, ...rows]) {
      const each = Array.from({ length: turns }, (_, turn) =>
        pairsOf(planOf([row, one, one], turn)),
      )
      t.ok(each.every(pairs => pairs.length === 3))
      const all = new Set(pairsOf(planOf([one], null)))
      t.strictSame(new Set(each.map(pairs => pairs[1])), all, one.name)
    }
    t.strictSame(planOf([row], null)[0]?.on, nodes)
  },
)

void t.test('rows have names of their own and expect kinds that exist', async t => {
  t.equal(new Set(rows.map(({ name }) => name)).size, rows.length)
  for (const one of rows.filter(({ line }) => !line)) {
    const { kind, side } = one.expect(where)
    if (kind === null) continue
    t.equal(kinds[kind as keyof typeof kinds]?.side, side, `${one.name}: ${kind}`)
  }
})
