import type { State } from '../model/index.ts'

/** Exit codes of `check` and `status`, as in the guidelines of monitoring plugins (monitoring-plugins.org). */
export const exitCodes: Readonly<Record<State, number>> = {
  healthy: 0,
  degraded: 1,
  down: 2,
  unknown: 3,
  asleep: 0,
  drained: 0,
}
