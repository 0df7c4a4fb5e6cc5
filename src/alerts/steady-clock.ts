import type { Clock } from '../model/index.ts'

/** Smaller corrections apply at once. */
const jumpSeconds = 10

/**
 * Returns Unix time for computing ages. After a forward jump of the wall clock (resume, corrected clock) all ages would
 * be too large until everything is measured again, so the jump is ignored for `graceSeconds`. A backward jump makes ages
 * smaller and applies at once. Must be called often to detect jumps.
 */
export const createSteadyClock = (clock: Clock, graceSeconds: () => number) => {
  let previous = { wall: clock.now() / 1000, steady: clock.monotonic() / 1000 }
  let lag = 0
  let jumpedAt = 0
  return (): number => {
    const wall = clock.now() / 1000
    const steady = clock.monotonic() / 1000
    const jump = wall - previous.wall - (steady - previous.steady)
    previous = { wall, steady }
    if (jump > jumpSeconds) {
      lag += jump
      jumpedAt = steady
    } else if (jump < -jumpSeconds) lag = Math.max(0, lag + jump)
    if (steady - jumpedAt > graceSeconds()) lag = 0
    return wall - lag
  }
}
