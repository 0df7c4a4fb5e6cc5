/** What is said of a builder that gets no builds, or gets them although it fails. */
import t from 'tap'
import { createHeadline } from '../../src/diagnosis/headline.ts'
import {
  formatServiceNote,
  isKeptAway,
  releasedText,
  serviceNote,
  type ServiceReport,
} from '../../src/diagnosis/out-of-service.ts'
import { createReport } from '../../src/diagnosis/report.ts'
import type { BuilderState, QuarantineState } from '../../src/model/index.ts'
import { builderOf, now, snapshotOf, stateOf } from '../exporters/fixture.ts'

const on: QuarantineState = {
  mode: 'on',
  released: null,
  unavailable: null,
  countByKind: {},
}
const inService: ServiceReport = {
  state: 'healthy',
  since: now - 7200,
  drain: null,
  quarantine: null,
  hold: null,
}
const drain = { by: 'alice', reason: 'new disk', since: now - 7200, until: now + 3600.4 }
const quarantine = {
  phase: 'quarantined',
  since: now - 300,
  kind: 'tcp_timeout',
  notBefore: now - 300,
  count: 1,
  retainedBy: null,
} as const
const hold = (held: number, running = 0) => ({ held, running, total: 4 })
const say = (change: Partial<ServiceReport>, fleet: QuarantineState | undefined = on) => {
  const note = serviceNote({ ...inService, ...change }, fleet, now)
  return note && formatServiceNote(note, now)
}

t.test('says why builds are kept away, since when, and whether they really are', t => {
  const drained = { state: 'drained', drain } as const
  const cases: readonly (readonly [string | null, string | null])[] = [
    [say({}), null],
    [
      say({ ...drained, hold: hold(1, 3) }),
      'drained by alice for 2 h 0 m, until 2027-01-15T09:00:00Z: new disk; 3 builds of this machine still run there',
    ],
    [
      say({ ...drained, drain: { ...drain, until: null, reason: null }, hold: hold(4) }),
      'drained by alice for 2 h 0 m: its slots are held by builder-monitor, no build of this machine runs there',
    ],
    [
      say(
        { ...drained, drain: { ...drain, reason: null, until: null }, hold: hold(0) },
        { ...on, mode: 'off', unavailable: 'not running' },
      ),
      'drained by alice for 2 h 0 m: builds are not kept away',
    ],
    [
      say({ state: 'drained', hold: hold(2) }),
      'drained by the configuration for 2 h 0 m: 2 of 4 slots are held by builder-monitor',
    ],
    [
      say({ quarantine, hold: hold(3, 1) }),
      'quarantined (tcp_timeout) for 5 m: builds are kept away until it is verified; 1 build of this machine still runs there',
    ],
    [
      say({
        quarantine: { ...quarantine, notBefore: now + 60, count: 3 },
        hold: hold(4),
      }),
      'quarantined (tcp_timeout) for 5 m: builds are kept away until it is verified; not before 2027-01-15T08:01:00Z, because it failed 3 times in a row; its slots are held by builder-monitor, no build of this machine runs there',
    ],
    [
      say({ quarantine, hold: hold(0) }, { ...on, released: 'holder', unavailable: 'x' }),
      'quarantined (tcp_timeout) for 5 m: builds are not kept away',
    ],
    [
      say({ quarantine: { ...quarantine, phase: 'probation' } }),
      'in service again, on probation for 5 m: was quarantined for tcp_timeout; another failure within 30 minutes quarantines it for longer',
    ],
    [
      say({ quarantine: { ...quarantine, retainedBy: 'floor' } }),
      'fails (tcp_timeout), but stays in service for 5 m: no other builder has its systems and features',
    ],
    [
      say({ quarantine }, { ...on, mode: 'dryRun' }),
      'would be quarantined (dry run), tcp_timeout for 5 m',
    ],
    [
      say({ quarantine }, { ...on, released: 'panic' }),
      'fails (tcp_timeout), but stays in service for 5 m: more than half of the builders fail, so the fault is more likely here',
    ],
  ]
  for (const [text, expected] of cases) t.equal(text, expected)
  t.end()
})

t.test('check, which keeps no builds away, says only who drained', t => {
  const note = serviceNote({ ...inService, state: 'drained' }, undefined, now)
  t.equal(
    note && formatServiceNote(note, now),
    'drained by the configuration for 2 h 0 m',
  )
  t.end()
})

t.test('an end that no clock can show breaks nothing', t => {
  for (const until of [1e300, -1e300])
    t.match(say({ state: 'drained', drain: { ...drain, until } }), 'drained by alice')
  t.end()
})

t.test('a builder is kept away when builds or the holder have every slot', t => {
  t.equal(isKeptAway(hold(4)), true)
  t.equal(isKeptAway(hold(1, 3)), true)
  t.equal(isKeptAway(hold(3)), false)
  t.equal(isKeptAway({ held: 0, running: 0, total: 0 }), false, 'too many slots to hold')
  t.equal(isKeptAway(undefined), false)
  t.end()
})

t.test(
  'says why all builders stay in service, only while a quarantine would be in force',
  t => {
    t.equal(releasedText(undefined), null)
    t.equal(
      releasedText({ ...on, mode: 'off', unavailable: 'not running' }),
      'builds are not kept away: not running',
      'a drain without the slot holder',
    )
    t.equal(releasedText(on), null)
    t.equal(releasedText({ ...on, mode: 'dryRun', released: 'panic' }), null)
    t.match(
      releasedText({ ...on, released: 'self_check' }),
      /stay in service: the self-check/,
    )
    t.equal(
      releasedText({ ...on, released: 'holder', unavailable: 'not running' }),
      'builds are not kept away: not running',
    )
    t.end()
  },
)

t.test('the headline counts who gets no builds', t => {
  const headline = (...states: readonly BuilderState[]) =>
    createHeadline(createReport(snapshotOf(states, { quarantine: on })), true).text
  const healthy = stateOf(builderOf('b1'))
  const held = { ...stateOf(builderOf('b2')), quarantine, hold: hold(4) }
  const drained = stateOf(builderOf('b3'), {}, { state: 'drained' })
  t.equal(headline(healthy), '1 of 1 builder available')
  t.equal(
    headline(healthy, held, drained),
    '1 of 3 builders available, 1 drained, 1 quarantined',
  )
  t.equal(
    headline(healthy, {
      ...held,
      quarantine: { ...quarantine, retainedBy: 'floor' },
      hold: hold(0),
    }),
    '2 of 2 builders available',
    'one that stays in service is available',
  )
  t.end()
})
