import type { CronScheduler, ProbeName } from '../model/index.ts'

/** The cron expressions that decide how often each probe runs. */
export type ProbeSchedule = Readonly<
  Record<
    | 'login'
    | 'system'
    | 'disk'
    | 'memory'
    | 'canary'
    | 'slots'
    | 'throughput'
    | 'substituters',
    string
  >
>

/** Returns the seconds between two attempts of each probe. */
export const probeIntervals = (
  schedule: ProbeSchedule,
  { intervalSeconds }: Pick<CronScheduler, 'intervalSeconds'>,
): Readonly<Record<ProbeName, number>> => {
  const login = intervalSeconds(schedule.login)
  const system = intervalSeconds(schedule.system)
  const disk = intervalSeconds(schedule.disk)
  const canary = intervalSeconds(schedule.canary)
  return {
    login,
    trust: login,
    system,
    disk,
    memory: intervalSeconds(schedule.memory),
    locks: disk,
    sessions: system,
    substituters: intervalSeconds(schedule.substituters),
    throughput: intervalSeconds(schedule.throughput),
    canary,
    direct: canary,
    slots: intervalSeconds(schedule.slots),
  }
}
