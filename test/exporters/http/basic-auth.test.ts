/** Limits of password comparisons. */
import { hashSync } from 'bcryptjs'
import t from 'tap'
import { createBasicAuth } from '../../../src/exporters/http/basic-auth.ts'
import { createBcrypt } from '../../../src/exporters/http/bcrypt.ts'
import { createRateLimit } from '../../../src/exporters/http/rate-limit.ts'

const header = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
const hash = `$2y$12$${'a'.repeat(53)}`

/** A comparer that accepts one password and records the hashes. */
const createRecorder = () => {
  const hashes: string[] = []
  let hold: Promise<void> | null = null
  return {
    hashes,
    holdUntil: (until: Promise<void>) => {
      hold = until
    },
    compare: async (password: string, compared: string) => {
      hashes.push(compared)
      await hold
      return password === 'right' && compared === hash
    },
  }
}

t.test('compares a valid login once and an invalid one each time', async t => {
  const recorder = createRecorder()
  const logIn = createBasicAuth(recorder)
  const users = new Map([['alice', hash]])
  t.equal(await logIn(header('alice', 'right'), users), 'good')
  t.equal(await logIn(header('alice', 'right'), users), 'good')
  t.equal(recorder.hashes.length, 1)
  t.equal(await logIn(header('alice', 'wrong'), users), 'bad')
  t.equal(await logIn(header('alice', 'wrong'), users), 'bad')
  t.equal(recorder.hashes.length, 3)
  t.equal(await logIn(header('bob', 'right'), users), 'bad')
  t.equal(await logIn(undefined, users), 'bad')
  t.equal(recorder.hashes.length, 4, 'an unknown user also costs a comparison')
  t.match(recorder.hashes[3], /^\$2b\$12\$[.\/A-Za-z0-9]{53}$/, 'of the same cost')
  t.equal(await logIn(header('alice', 'right'), new Map([['alice', `${hash}x`]])), 'bad')
})

t.test('compares equal logins once at a time and limits waiting ones', async t => {
  const recorder = createRecorder()
  let release = () => undefined as void
  recorder.holdUntil(new Promise(resolve => (release = resolve)))
  const logIn = createBasicAuth(recorder)
  const users = new Map([['alice', hash]])
  const same = [1, 2, 3].map(() => logIn(header('alice', 'right'), users))
  const others = Array.from({ length: 40 }, (_, i) =>
    logIn(header('alice', `wrong${i}`), users, `10.0.0.${i}`),
  )
  await new Promise(resolve => setImmediate(resolve))
  t.equal(recorder.hashes.length, 32)
  release()
  t.same(await Promise.all(same), ['good', 'good', 'good'])
  const counts = (await Promise.all(others)).reduce<Record<string, number>>(
    (sum, one) => ({ ...sum, [one]: (sum[one] ?? 0) + 1 }),
    {},
  )
  t.same(counts, { bad: 31, busy: 9 })
})

t.test('limits the number of cached logins', async t => {
  const recorder = createRecorder()
  const logIn = createBasicAuth(recorder)
  const users = new Map(Array.from({ length: 101 }, (_, i) => [`user${i}`, hash]))
  for (const user of users.keys()) await logIn(header(user, 'right'), users)
  t.equal(recorder.hashes.length, 101)
  await logIn(header('user100', 'right'), users)
  t.equal(recorder.hashes.length, 101)
  await logIn(header('user0', 'right'), users)
  t.equal(recorder.hashes.length, 102, 'the oldest is forgotten')
})

t.test('does not block the event loop while comparing', async t => {
  const bcrypt = createBcrypt()
  t.teardown(() => bcrypt.stop())
  const slow = hashSync('password', 12)
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }, 1)
  t.teardown(() => clearInterval(timer))
  await bcrypt.compare('warm', hashSync('up', 4))
  longest = 0
  const from = performance.now()
  const answers = await Promise.all([
    bcrypt.compare('password', slow),
    bcrypt.compare('passwort', slow),
  ])
  const took = performance.now() - from
  t.same(answers, [true, false])
  t.ok(longest < took / 2, `${longest} ms of ${took} ms`)
  t.equal(await bcrypt.compare('x', 'no hash at all'), false)
  bcrypt.stop()
  t.equal(await bcrypt.compare('password', slow), true, 'the worker starts again')
})

t.test('refills tokens over time up to the burst', async t => {
  const mayPass = createRateLimit()
  const limit = { intervalMs: 1000, burst: 2 }
  const at = (ms: number) => mayPass(limit, ms)
  t.same([at(0), at(0), at(0), at(999)], [true, true, false, false])
  t.same([at(1000), at(1001)], [true, false])
  t.same([at(60_000), at(60_000), at(60_000)], [true, true, false])
  t.equal(mayPass(null, 60_000), true)
  t.same(
    [mayPass({ intervalMs: 1, burst: 0 }, 0), mayPass({ intervalMs: 1, burst: 0 }, 9)],
    [false, false],
  )
})

t.test('wrong passwords of one client do not lock out others', async t => {
  const recorder = createRecorder()
  const logIn = createBasicAuth(recorder)
  const users = new Map([['alice', hash]])
  t.equal(await logIn(header('alice', 'right'), users, 'prometheus'), 'good')
  let release = () => undefined as void
  recorder.holdUntil(new Promise(resolve => (release = resolve)))
  const flood = Array.from({ length: 100 }, (_, i) =>
    logIn(header('alice', `wrong${i}`), users, 'attacker'),
  )
  const other = logIn(header('alice', 'other'), users, 'visitor')
  // Many attackers fill all places but the reserved ones
  const more = Array.from({ length: 100 }, (_, i) =>
    logIn(header('alice', `bad${i}`), users, `attacker ${i}`),
  )
  const known = logIn(header('alice', 'mistyped'), users, 'prometheus')
  release()
  t.equal((await Promise.all(flood)).filter(result => result === 'busy').length, 92)
  t.equal(await other, 'bad')
  t.ok((await Promise.all(more)).includes('busy'))
  t.equal(await known, 'bad')
})
