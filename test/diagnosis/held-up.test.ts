import t from 'tap'
import { heldUpBy } from '../../src/diagnosis/held-up.ts'
import { hintOf, reasonOf } from '../../src/diagnosis/kinds.ts'
import type { LocksValue } from '../../src/model.ts'

const free: LocksValue = { at: 1000, collector: null, buildUsersHeld: 0, buildUsers: 10 }
const collector = {
  pid: 77,
  program: 'nix-store --gc',
  runsForSeconds: 7500,
  seenSince: 1000,
}

t.test('free locks explain nothing', async t => {
  t.equal(heldUpBy(free, 1000), null)
  t.equal(heldUpBy({ ...free, buildUsersHeld: 9 }, 1000), null)
  t.equal(heldUpBy({ ...free, buildUsersHeld: 9, buildUsers: null }, 1000), null)
  t.equal(heldUpBy({ ...free, buildUsers: 0 }, 1000), null)
})

t.test('who collects garbage is busy, until it was seen for an hour', async t => {
  const busy = heldUpBy({ ...free, collector }, 1000)
  t.match(busy, { status: 'busy', kind: 'gc_wait' })
  t.match(
    reasonOf('gc_wait', { host: 'b1', ...busy?.params }),
    /on b1 .*\(process 77, nix-store --gc, which runs for 2 hours\)$/,
  )
  t.match(heldUpBy({ ...free, collector }, 4599), { status: 'busy' })
  const stuck = heldUpBy({ ...free, collector }, 1000 + 3 * 3600)
  t.match(stuck, { status: 'failed', kind: 'build_timeout' })
  t.match(
    reasonOf('build_timeout', { host: 'b1', ...stuck?.params }),
    /garbage collector's lock is held for 3 hours by process 77/,
  )
  t.match(hintOf('build_timeout', { host: 'b1', ...stuck?.params }), /sudo kill 77/)
})

t.test('all build users taken is busy', async t => {
  const full = heldUpBy({ ...free, buildUsersHeld: 10 }, 1000)
  t.match(full, { status: 'busy', kind: 'slots_full' })
  t.match(
    reasonOf('slots_full', { host: 'b1', ...full?.params }),
    'all 10 build users of b1 are taken',
  )
  t.match(hintOf('slots_full', { host: 'b1', ...full?.params }), /nixbld/)
})
