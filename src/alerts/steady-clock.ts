import type { Clock } from '../model/index.ts'

/** Drift and small corrections are taken over at once. */
const jumpSeconds = 10

/**
 * The Unix time with which ages are told. When the wall clock jumps forward (a resume, a clock that was wrong), every
 * age would be too great until all was measured anew, so the old time goes on for `graceSeconds` before the new one is
 * taken over. A jump back only makes ages smaller: it is taken over at once. To be asked often.
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
