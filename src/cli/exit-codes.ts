import type { State } from '../model/index.ts'

/** What `check` and `status` exit with, as monitoring plugins do (monitoring-plugins.org, guidelines). */
export const exitCodes: Readonly<Record<State, number>> = {
  healthy: 0,
  degraded: 1,
  down: 2,
  unknown: 3,
  asleep: 0,
  drained: 0,
}
