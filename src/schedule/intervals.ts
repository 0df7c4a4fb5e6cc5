import type { Config } from '../config/config.ts'
import type { ProbeName, CronScheduler } from '../model/index.ts'

/** Seconds between two attempts of each probe, as the schedule has them. */
export const probeIntervals = (
  { schedule }: Pick<Config, 'schedule'>,
  { intervalSeconds }: Pick<CronScheduler, 'intervalSeconds'>,
): Record<ProbeName, number> => {
  const of = (name: keyof Config['schedule']) => intervalSeconds(schedule[name])
  const [login, disk, canary] = [of('login'), of('disk'), of('canary')]
  return {
    login,
    trust: login,
    system: of('system'),
    disk,
    memory: of('memory'),
    locks: disk,
    canary,
    direct: canary,
    slots: of('slots'),
  }
}

/** Does another plan follow from it? */
export const scheduleChanged = (a: Config, b: Config): boolean =>
  JSON.stringify(scheduleSettings(a)) !== JSON.stringify(scheduleSettings(b))

const scheduleSettings = ({ schedule, timeZone, jitter, concurrency }: Config) => ({
  schedule,
  timeZone,
  jitter,
  concurrency,
})
