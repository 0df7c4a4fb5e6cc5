import t from 'tap'
import { findBlockingLock } from '../../src/diagnosis/blocking-lock.ts'
import { fixesText, formatMessage, kindFixes } from '../../src/diagnosis/kinds/index.ts'
import type { LocksValue } from '../../src/model/index.ts'

const free: LocksValue = {
  at: 1000,
  gcLockHolder: null,
  storeLockHolder: null,
  buildUsersInUse: 0,
  buildUsers: 10,
}
const collector = {
  pid: 77,
  program: 'nix-store --gc',
  runtimeSeconds: 7500,
  since: 1000,
}

const fixesOf = (...args: Parameters<typeof kindFixes>) => fixesText(kindFixes(...args))

t.test('returns null for free locks', async t => {
  t.equal(findBlockingLock(free, 1000), null)
  t.equal(findBlockingLock({ ...free, buildUsersInUse: 9 }, 1000), null)
  t.equal(findBlockingLock({ ...free, buildUsersInUse: 9, buildUsers: null }, 1000), null)
  t.equal(findBlockingLock({ ...free, buildUsers: 0 }, 1000), null)
})

t.test('a garbage collection is busy for an hour, then failed', async t => {
  const busy = findBlockingLock({ ...free, gcLockHolder: collector }, 1000)
  t.match(busy, { status: 'busy', kind: 'gc_wait' })
  t.match(
    formatMessage('gc_wait', { host: 'b1', ...busy?.params }),
    /on b1 .*\(process 77, nix-store --gc, running for 2 hours\)$/,
  )
  t.match(findBlockingLock({ ...free, gcLockHolder: collector }, 4599), {
    status: 'busy',
  })
  const stuck = findBlockingLock({ ...free, gcLockHolder: collector }, 1000 + 3 * 3600)
  t.match(stuck, { status: 'failed', kind: 'build_timeout' })
  t.match(
    formatMessage('build_timeout', { host: 'b1', ...stuck?.params }),
    /garbage collector lock has been held for 3 hours by process 77/,
  )
  t.match(fixesOf('build_timeout', { host: 'b1', ...stuck?.params }), /sudo kill 77/)
})

t.test('returns busy when all build users are in use', async t => {
  const full = findBlockingLock({ ...free, buildUsersInUse: 10 }, 1000)
  t.match(full, { status: 'busy', kind: 'slots_full' })
  t.match(
    formatMessage('slots_full', { host: 'b1', ...full?.params }),
    'all 10 build users of b1 are in use',
  )
  t.match(fixesOf('slots_full', { host: 'b1', ...full?.params }), /nixbld/)
})

t.test('a lock of the store is the cause before all others', async t => {
  const storeLockHolder = {
    pid: 7,
    program: 'sqlite3 db.sqlite',
    runtimeSeconds: 90,
    path: '/nix/var/nix/db/db.sqlite',
  }
  t.same(findBlockingLock({ ...free, storeLockHolder, gcLockHolder: collector }, 1000), {
    status: 'failed',
    kind: 'store_locked',
    params: {
      detail: 'process 7, sqlite3 db.sqlite, running for 90 s',
      pid: '7',
      path: '/nix/var/nix/db/db.sqlite',
    },
  })
})
