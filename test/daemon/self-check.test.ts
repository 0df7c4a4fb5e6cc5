import t from 'tap'
import { createSelfCheckConditions } from '../../src/daemon/self-check.ts'

t.test(
  'detects a clock jump, a blocked event loop and many failures at once',
  async t => {
    const conditions = createSelfCheckConditions()
    t.equal(conditions.tick(0, 0), null)
    t.equal(conditions.tick(1000, 1000), null)
    t.equal(conditions.tick(3_600_000, 2000), 'clock_jump', 'a resume')
    t.equal(conditions.tick(3_604_000, 6000), 'event_loop_lag')
    t.equal(conditions.loginFailed('a', 1000, 4), null)
    t.equal(conditions.loginFailed('b', 2000, 4), null)
    t.equal(conditions.loginFailed('b', 2500, 4), null, 'the same builder twice is one')
    t.equal(conditions.loginFailed('c', 3000, 4), 'many_failed_at_once')
    t.equal(createSelfCheckConditions().loginFailed('a', 0, 100), null)
  },
)
