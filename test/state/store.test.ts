import t from 'tap'
import type { Outcome, SnapshotChange } from '../../src/model/index.ts'
import { createStore } from '../../src/state/store.ts'
import { aBuilder, aResult, intervals, listOf, ok } from '../support/builders.ts'

const newStore = (onListenerError?: (error: unknown) => void) =>
  createStore({
    evaluateHealth: ({ health, changedAt }) => ({ health, changedAt }),
    now: () => 1000,
    intervals,
    ...(onListenerError ? { onListenerError } : {}),
  })
/** Listeners are called at the end of the turn. */
const turn = () => new Promise(resolve => setImmediate(resolve))
const refused: Outcome = { status: 'failed', kind: 'tcp_refused', params: {} }

t.test('a snapshot never changes after it was read', async t => {
  const store = newStore()
  store.setBuilders(listOf(aBuilder()))
  const before = store.read()
  store.record(aBuilder(), [aResult('login', ok())])
  t.equal(before.builders.get('b1')?.probes.login, undefined)
  t.equal(store.read().version, before.version + 1)
})

t.test('builders that did not change keep their identity', async t => {
  const store = newStore()
  const [a, b] = [aBuilder({ name: 'a', line: 'a' }), aBuilder({ name: 'b', line: 'b' })]
  store.setBuilders(listOf(a, b))
  const before = store.read()
  store.record(a, [aResult('login', ok())])
  t.equal(store.read().builders.get('b'), before.builders.get('b'))
  t.not(store.read().builders.get('a'), before.builders.get('a'))
})

t.test('is ready at once without builders', async t => {
  const store = newStore()
  store.setBuilders(listOf(aBuilder()))
  t.equal(store.read().monitor.ready, false)
  const empty = newStore()
  empty.setBuilders(listOf())
  t.equal(empty.read().monitor.ready, true)
})

t.test('successes do not push failures out of the history', async t => {
  const store = newStore()
  const builder = aBuilder()
  store.setBuilders(listOf(builder))
  store.record(builder, [aResult('login', refused)])
  for (let i = 0; i < 200; i++) store.record(builder, [aResult('login', ok())])
  const state = store.read().builders.get('b1')
  t.equal(state?.history.login?.length, 60)
  t.equal(state?.failures.length, 1)
})

t.test('attempts and failures do not count busy and skipped results', async t => {
  const store = newStore()
  const builder = aBuilder()
  store.setBuilders(listOf(builder))
  store.record(builder, [
    aResult('canary', ok()),
    aResult('canary', { status: 'busy', kind: 'slots_full', params: {} }),
    aResult('canary', { status: 'skipped', kind: 'dependency_failed', params: {} }),
    aResult('canary', { status: 'failed', kind: 'build_failed', params: {} }),
  ])
  t.match(store.read().builders.get('b1')?.probes.canary, { attempts: 2, failures: 1 })
  t.same(store.read().monitor.failuresByKind, { build_failed: 1 })
})

t.test(
  'a reload keeps the state of an unchanged line and drops that of a changed one',
  async t => {
    const store = newStore()
    const builder = aBuilder()
    store.setBuilders(listOf(builder))
    store.record(builder, [aResult('login', ok())])
    store.setBuilders(listOf(builder, aBuilder({ name: 'new', line: 'new' })))
    t.ok(store.read().builders.get('b1')?.probes.login)
    const changed = aBuilder({ line: 'another key' })
    store.setBuilders(listOf(changed))
    t.notOk(store.read().builders.get('b1')?.probes.login)
    store.record(builder, [aResult('login', ok())])
    t.notOk(
      store.read().builders.get('b1')?.probes.login,
      'late results of the old line are dropped',
    )
    t.equal(store.read().builders.has('new'), false)
  },
)

t.test('is ready when every builder is checked or drained', async t => {
  const store = createStore({
    evaluateHealth: ({ builder, health }) => ({
      health: { ...health, state: builder.name === 'b' ? 'drained' : 'unknown' },
      changedAt: [],
    }),
    now: () => 1000,
    intervals,
  })
  const [a, b] = [aBuilder({ name: 'a', line: 'a' }), aBuilder({ name: 'b', line: 'b' })]
  store.setBuilders(listOf(a, b))
  t.equal(store.read().monitor.ready, false)
  store.record(a, [aResult('login', refused)])
  t.equal(store.read().monitor.ready, true)
})

t.test('reports which builders changed, once for each turn', async t => {
  const store = newStore()
  const changes: SnapshotChange[] = []
  const versions: number[] = []
  const stop = store.subscribe(({ version }, change) => {
    versions.push(version)
    changes.push(change)
  })
  const [a, b] = [aBuilder({ name: 'a', line: 'a' }), aBuilder({ name: 'b', line: 'b' })]
  store.setBuilders(listOf(a, b))
  t.same(changes, [], 'not within the turn')
  await turn()
  store.record(a, [aResult('login', ok())])
  store.record(a, [aResult('trust', ok())])
  store.record(b, [aResult('login', ok())])
  await turn()
  t.equal(versions.at(-1), store.read().version, 'the newest snapshot')
  store.updateMonitor({ selfCheckFailed: true })
  await turn()
  store.setBuilders(listOf(b))
  await turn()
  stop()
  store.record(b, [aResult('login', ok())])
  await turn()
  t.same(
    changes.map(({ builders }) => [...builders].sort()),
    [['a', 'b'], ['a', 'b'], [], ['a', 'b']],
  )
})

t.test('a change that a listener makes is announced in the next turn', async t => {
  const store = newStore()
  const builder = aBuilder()
  store.setBuilders(listOf(builder))
  await turn()
  const seen: string[][] = []
  store.subscribe((_, { builders }) => {
    seen.push([...builders])
    if (seen.length === 1) store.record(builder, [aResult('login', ok())])
  })
  store.updateMonitor({ selfCheckFailed: true })
  await turn()
  t.same(seen, [[]])
  await turn()
  t.same(seen, [[], ['b1']])
})

t.test('record returns the builder before and after', async t => {
  const store = newStore()
  const builder = aBuilder()
  t.equal(store.record(builder, [aResult('login', ok())]), null, 'not in the list')
  store.setBuilders(listOf(builder))
  const recorded = store.record(builder, [aResult('login', ok())])
  t.equal(recorded?.before.probes.login, undefined)
  t.equal(recorded?.after, store.read().builders.get('b1'))
})

t.test('an exception of a listener is reported and does not stop the others', async t => {
  const errors: unknown[] = []
  const store = newStore(error => errors.push(error))
  let calls = 0
  store.subscribe(() => {
    throw new Error('page bug')
  })
  store.subscribe(() => calls++)
  store.setBuilders(listOf(aBuilder()))
  await turn()
  t.equal(calls, 1)
  t.match(errors, [{ message: 'page bug' }])
})

t.test('a second evaluates what may change soon, and a fifth of the others', async t => {
  const evaluated: string[] = []
  const store = createStore({
    evaluateHealth: ({ builder, health }) => {
      evaluated.push(builder.name)
      return { health: { ...health, state: 'healthy' }, changedAt: [] }
    },
    now: () => 1000,
    intervals,
  })
  const names = Array.from({ length: 10 }, (_, i) => `b${i}`)
  const builders = names.map(name => aBuilder({ name, line: name }))
  store.setBuilders(listOf(...builders))
  for (const builder of builders) store.record(builder, [aResult('login', ok())])
  store.record(builders[3]!, [aResult('canary', refused)])
  evaluated.length = 0
  store.tick()
  t.equal(evaluated.length, 3)
  t.ok(evaluated.includes('b3'))
  for (let i = 0; i < 4; i++) store.tick()
  t.equal(evaluated.filter(name => name === 'b3').length, 5)
  t.same([...new Set(evaluated)].sort(), names, 'each within five seconds')
  evaluated.length = 0
  store.evaluateAll()
  t.same(evaluated, names)
})
