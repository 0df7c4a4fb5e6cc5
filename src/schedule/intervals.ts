import type { CronScheduler, ProbeName } from '../model/index.ts'

/** The cron expressions that decide how often each probe runs. */
export type ProbeSchedule = Readonly<
  Record<'login' | 'system' | 'disk' | 'memory' | 'canary' | 'slots', string>
>

/** Returns the seconds between two attempts of each probe. */
export const probeIntervals = (
  schedule: ProbeSchedule,
  { intervalSeconds }: Pick<CronScheduler, 'intervalSeconds'>,
): Readonly<Record<ProbeName, number>> => {
  const login = intervalSeconds(schedule.login)
  const disk = intervalSeconds(schedule.disk)
  const canary = intervalSeconds(schedule.canary)
  return {
    login,
    trust: login,
    system: intervalSeconds(schedule.system),
    disk,
    memory: intervalSeconds(schedule.memory),
    locks: disk,
    canary,
    direct: canary,
    slots: intervalSeconds(schedule.slots),
  }
}
