import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../model/index.ts'

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, { signal, ref: true })
  },
}
