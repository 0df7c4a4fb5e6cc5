import type { Config } from '../config/config.ts'
import type { Monitor } from '../engine/monitor.ts'
import type { Log } from '../log/log.ts'
import type { Builder, Clock, CronScheduler } from '../model/index.ts'
import { createScheduler, type Scheduler } from '../schedule/scheduler.ts'
import type { ClientMonitor } from './client-monitor.ts'
import type { EffectiveConfig } from './context.ts'
import { intervalsFor } from './daemon-monitor.ts'
import { createJobs, type JobName } from './jobs.ts'

export interface SchedulesDeps {
  readonly config: EffectiveConfig
  readonly monitor: Monitor
  readonly client: ClientMonitor
  readonly createCron: (timeZone: string) => CronScheduler
  /** Called at the start of each job with its delay in seconds. */
  readonly onDelay: (job: string, seconds: number) => void
  readonly clock: Clock
  readonly log: Log
}

/** The running schedules of one configuration: jobs per builder, and the check of this machine. */
export interface Schedules {
  setBuilders(builders: readonly Builder[]): void
  /** Requests a run outside the schedule. */
  runOnce(job: JobName, builder: Builder, delayMs: number): void
  /** Returns for how many seconds logins have made no progress. */
  loginLagSeconds(): number
  /** Puts a configuration into effect. New schedules start when all runs of the old ones have ended. */
  apply(config: Config): Promise<void>
  /** Aborts all runs. Resolves when none is left. */
  stop(): Promise<void>
}

interface Running {
  readonly scheduler: Scheduler
  readonly stopClientChecks: () => void
}

export const startSchedules = (deps: SchedulesDeps): Schedules => {
  const { config, monitor, client, createCron, log } = deps
  const start = ({ timeZone, schedule }: Config): Running => ({
    scheduler: createScheduler(
      createJobs({
        monitor,
        config: config.read,
        now: () => deps.clock.now() / 1000,
        runOnce: (job, builder, delayMs) =>
          running.scheduler.runOnce(job, builder, delayMs),
        random: Math.random,
      }),
      {
        cron: createCron(timeZone),
        random: Math.random,
        onDelay: deps.onDelay,
        onError: (job, builder, error) =>
          log.error({ job, builder: builder.name, err: error }, 'job failed'),
      },
    ),
    stopClientChecks: client.schedule(createCron(timeZone), schedule.client),
  })
  let running = start(config.read())
  let builders: readonly Builder[] = []
  const stopped = new AbortController()
  const stopRunning = async () => {
    running.stopClientChecks()
    await running.scheduler.stop()
  }
  const setBuilders = (next: readonly Builder[]) => {
    builders = next
    running.scheduler.setBuilders(next)
    // A new builder, or one with a new line, is checked at once
    for (const builder of next)
      if (!monitor.store.read().builders.get(builder.name)?.probes.login)
        void monitor.endpoints
          .find(builder, stopped.signal)
          // The endpoint first: logins to many names of one host must not overlap in the first round either
          .then(() => running.scheduler.runOnce('login', builder, 0))
  }
  return {
    setBuilders,
    runOnce: (job, builder, delayMs) => running.scheduler.runOnce(job, builder, delayMs),
    loginLagSeconds: () => running.scheduler.lagSeconds('login'),
    apply: async next => {
      const isChanged = scheduleKey(next) !== scheduleKey(config.read())
      // Two logins to one host must not overlap
      if (isChanged) await stopRunning()
      // Stopped in the meantime: no new schedules
      if (stopped.signal.aborted) return
      config.replace(next)
      if (!isChanged) return
      running = start(next)
      monitor.store.updateMonitor({ intervals: intervalsFor(next, createCron) })
      setBuilders(builders)
    },
    stop: () => {
      stopped.abort()
      return stopRunning()
    },
  }
}

const scheduleKey = ({ schedule, timeZone, jitter, concurrency }: Config): string =>
  JSON.stringify({ schedule, timeZone, jitter, concurrency })
