/** The report on a terminal: builders that get no builds. */
import t from 'tap'
import { createPaint } from '../../src/cli/paint.ts'
import { renderReport } from '../../src/cli/render.ts'
import { createReport } from '../../src/diagnosis/report.ts'
import { builderOf, now, snapshotOf, stateOf } from '../exporters/fixture.ts'

t.test('a drained builder shows who, why, until when, and the builds there', async t => {
  const drain = { by: 'root', reason: 'new disk', since: now - 60, until: now + 60 }
  const snapshot = snapshotOf(
    [
      {
        ...stateOf(builderOf('b1'), {}, { state: 'drained' }),
        drain,
        hold: { held: 7, running: 1, total: 8 },
      },
      stateOf(builderOf('b2')),
    ],
    { quarantine: { mode: 'on', released: 'panic', unavailable: null, countByKind: {} } },
  )
  const lines = renderReport(createReport(snapshot), createPaint(false, {})).split('\n')
  t.strictSame(lines.slice(0, 5), [
    '1 of 2 builders available, 1 drained.',
    '  ▲ builders that fail stay in service: more than half of the builders fail, so the fault is more likely here',
    '',
    '– b1  drained  ssh-ng://nix@b1',
    '  drained by root for 1 m, until 2027-01-15T08:01:00Z: new disk; 1 build of this machine still runs there',
  ])
})
