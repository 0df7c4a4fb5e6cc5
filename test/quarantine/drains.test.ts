import t from 'tap'
import type { Drain } from '../../src/model/index.ts'
import {
  activeDrains,
  parseDrains,
  serializeDrains,
} from '../../src/quarantine/drains.ts'
import { parseDuration } from '../../src/text/parse-duration.ts'

const drain: Drain = { by: 'ada', reason: 'new disk', since: 1000, until: 2000 }

t.test('drains survive a restart', async t => {
  const drains = new Map<string, Drain>([
    ['b1', drain],
    ['b2', { ...drain, reason: null, until: null }],
  ])
  t.same(parseDrains(JSON.parse(JSON.stringify(serializeDrains(drains)))), drains)
})

t.test('invalid entries are dropped', async t => {
  for (const entry of [null, 1, {}, { ...drain }, { name: 'b1', ...drain, until: 'x' }])
    t.equal(parseDrains([entry]).size, 0)
  t.equal(parseDrains({ b1: drain }).size, 0, 'not a list')
  t.equal(parseDrains(undefined).size, 0)
})

t.test('a drain ends by itself', async t => {
  const drains = new Map<string, Drain>([
    ['b1', drain],
    ['b2', { ...drain, until: null }],
  ])
  t.equal(activeDrains(drains, 1999), drains)
  t.same([...activeDrains(drains, 2000).keys()], ['b2'])
})

t.test('durations', async t => {
  for (const [text, seconds] of [
    ['90s', 90],
    ['30m', 1800],
    ['2h', 7200],
    ['1h30m', 5400],
    ['7d', 604_800],
    ['1w', 604_800],
  ] as const)
    t.equal(parseDuration(text), seconds, text)
  for (const text of [
    '',
    '0s',
    '2',
    'h',
    '2x',
    '-2h',
    '2 h',
    '1.5h',
    '400d',
    '99999999999h',
  ])
    t.equal(parseDuration(text), null, text)
})
