/** Jump hosts: one attempt for simultaneous logins. */
import t from 'tap'
import { isJumpHostFailure } from '../../../src/transport/ssh/jump-host-failure.ts'
import { createJumpHostCache } from '../../../src/transport/ssh/jump-host-cache.ts'

const underWatch = () => {
  let now = 0
  const jumps = createJumpHostCache<string>(() => now)
  const go = async () => {
    const way = await jumps.acquire('gate')
    return typeof way === 'function' ? way : way.failure
  }
  return { jumps, go, after: (ms: number) => (now += ms) }
}
const isFree = (way: unknown) => typeof way === 'function'

t.test('the failure of the first login is that of all waiting logins', async t => {
  const { go, after, jumps } = underWatch()
  const first = await go()
  const others = [go(), go()]
  if (typeof first === 'string') return t.fail('the first caller must connect')
  t.ok(isFree(await jumps.acquire('another gate')), 'another jump host has its own lock')
  first('closed')
  t.same(await Promise.all(others), ['closed', 'closed'])
  after(3999)
  t.equal(await go(), 'closed', 'the failure stays for a short time')
  after(2)
  t.ok(isFree(await go()), '5 s later the failure is not reused')
})

t.test('all logins proceed if the jump host works', async t => {
  const { go } = underWatch()
  const first = await go()
  const others = [go(), go()]
  if (typeof first === 'string') return t.fail('the first caller must connect')
  first(null)
  first('ignored')
  t.ok((await Promise.all(others)).every(isFree))
  t.ok(isFree(await go()))
})

t.test('attributes a failure to the jump host only if it was not reached', async t => {
  const jump = { proxyJump: 'gate' }
  const refused = 'ssh: connect to host gate port 22: Connection refused\n'
  t.ok(isJumpHostFailure(jump, refused))
  t.ok(isJumpHostFailure(jump, 'me@gate: Permission denied (publickey).\n'))
  t.notOk(isJumpHostFailure({ proxyJump: null }, refused), 'no jump host configured')
  t.notOk(isJumpHostFailure(jump, ''))
  t.notOk(isJumpHostFailure(jump, 'Welcome to gate\n'), 'a banner is not an error')
  t.notOk(
    isJumpHostFailure(
      jump,
      'channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n',
    ),
    'the jump host was reached, but not the builder',
  )
})
