/** The same answers as a Map, at every size around those of the nodes. */
import t from 'tap'
import type { BuilderState } from '../../src/model/index.ts'
import { BuilderStates } from '../../src/state/builder-states.ts'
import { aBuilder } from '../support/builders.ts'

const stateOf = (name: string, changes = 0): BuilderState => ({
  builder: aBuilder({ name }),
  probes: {},
  health: {
    ...{ state: 'unknown', cause: null, since: 0, flapping: false, verified: false },
    changes,
  },
  changedAt: [],
  history: {},
  failures: [],
})

for (const size of [0, 1, 2, 31, 32, 33, 1023, 1024, 1025, 33_000])
  t.test(`${size} builders`, async t => {
    const states = Array.from({ length: size }, (_, i) => stateOf(`b${i}`))
    const expected = new Map(states.map(state => [state.builder.name, state]))
    const original = BuilderStates.of(states)
    let changed = original
    for (let i = 0; i < size; i += Math.ceil(size / 50)) {
      const next = stateOf(`b${i}`, i + 1)
      expected.set(`b${i}`, next)
      changed = changed.with(next)
    }
    t.equal(changed.size, size)
    const isSame = (a: Iterable<unknown>, b: Iterable<unknown>) => {
      const others = [...b]
      const all = [...a]
      return all.length === others.length && all.every((one, i) => one === others[i])
    }
    t.ok(isSame(changed.values(), expected.values()))
    t.ok(isSame(changed.keys(), expected.keys()))
    t.ok([...changed].every(([name, state]) => expected.get(name) === state))
    const visited: string[] = []
    changed.forEach((state, name) => {
      if (changed.get(name) === state && changed.has(name)) visited.push(name)
    })
    t.ok(isSame(visited, expected.keys()))
    t.ok(isSame(original.values(), states), 'the original did not change')
    t.equal(changed.get('nobody'), undefined)
    t.equal(changed.has('nobody'), false)
    t.throws(() => changed.with(stateOf('nobody')), /no builder is called nobody/)
  })

t.test('a name that occurs twice has the last state', async t => {
  const [first, last] = [stateOf('a', 1), stateOf('a', 2)]
  const states = BuilderStates.of([first, stateOf('b'), last])
  t.equal(states.size, 2)
  t.equal(states.get('a'), last)
})
