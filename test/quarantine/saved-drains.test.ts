import t from 'tap'
import {
  parseSavedDrains,
  serializeSavedDrains,
} from '../../src/quarantine/saved-drains.ts'

const drain = (until: number | null) => ({ by: 'ann', reason: null, since: 10, until })

t.test('drains and their slots are kept over a restart', async t => {
  const saved = {
    drains: new Map([
      ['b1', drain(null)],
      ['b2', drain(100)],
    ]),
    slots: ['b1-0', 'b2-0'],
    socket: '/run/hold',
  }
  const json: unknown = JSON.parse(JSON.stringify(serializeSavedDrains(saved)))
  t.same(parseSavedDrains(json, 99), saved)
  t.same([...parseSavedDrains(json, 100).drains.keys()], ['b1'], 'b2 has ended')
})

t.test('slots are not held for drains that have ended', async t => {
  const saved = { drains: new Map([['b1', drain(100)]]), slots: ['b1-0'], socket: null }
  t.same(parseSavedDrains(serializeSavedDrains(saved), 100).slots, [])
  const configured = { drains: new Map(), slots: ['b1-0'], socket: null }
  const { slots } = parseSavedDrains(serializeSavedDrains(configured), 100)
  t.same(slots, ['b1-0'], 'of a builder that the configuration drains')
})

t.test('a state file from another version is no drain', async t => {
  const nothing = { drains: new Map(), slots: [], socket: null }
  for (const invalid of [undefined, null, 'x', 7, [], { drains: 3, slots: 3, socket: 3 }])
    t.same(parseSavedDrains(invalid, 0), nothing)
  t.same(parseSavedDrains({ slots: [1, 'a-0', null, '../x-0', 'main-lock'] }, 0).slots, [
    'a-0',
  ])
})
