import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { Builder, CronScheduler } from '../model/index.ts'

/** Work that is done for each builder at the times of cron expressions. */
export interface Job {
  readonly name: string
  /** Cron expressions by task. Tasks that are due at the same time are done in one run. */
  readonly times: Readonly<Record<string, string>>
  /** Share of the delay that is random (0 to 1). The rest is fixed per builder, a hash of its name. */
  readonly jitter: number
  /** Maximum number of concurrent runs, over all builders. */
  readonly concurrency: number
  /** A run that takes longer waits for a deadline and does not count as concurrent any more, milliseconds. */
  readonly expectedMs: number
  /** Runs with the same key never overlap: the builder's name, or its host for work that loads the host. */
  readonly exclusiveKey: (builder: Builder) => string
  /** `due`: the tasks of `times` that are due. Rejections are reported to `onError`. */
  readonly run: (
    builder: Builder,
    due: ReadonlySet<string>,
    signal: AbortSignal,
  ) => Promise<void>
}

export interface SchedulerDeps {
  readonly cron: CronScheduler
  /** Returns a number from 0 to 1. */
  readonly random: () => number
  /** Called at the start of each run with the seconds since it was due. */
  readonly onDelay: (job: string, seconds: number) => void
  /** Called when a run rejects, which is a bug. */
  readonly onError: (job: string, builder: Builder, error: unknown) => void
}

export interface Scheduler {
  /** Replaces the builders. Pending runs of a removed builder are cancelled; a changed one runs with its new line. */
  setBuilders(builders: readonly Builder[]): void
  /** Runs a job once for a builder after a delay, outside its schedule. A run that is due earlier takes precedence. */
  runOnce(job: string, builder: Builder, delayMs: number): void
  /**
   * Returns for how many seconds a job has made no progress that it should have made: the oldest run does not end, due runs
   * do not start although none has ended since, or the schedule does not fire. Runs that only wait for others are progress.
   */
  lagSeconds(job: string): number
  /** Aborts all runs. Resolves when none is left. */
  stop(): Promise<void>
}

/** Returns the builder's fixed position within an interval, 0 to 1, the same after every restart. */
export const splayFraction = (name: string): number =>
  createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32

/** Upper limit of the splay, so that a long interval does not delay the first check by hours. */
const maxSplaySeconds = 300

/** Creates a scheduler that spreads jobs over builders within the limits of each job. */
export const createScheduler = (jobs: readonly Job[], deps: SchedulerDeps): Scheduler => {
  const stopped = new AbortController()
  // Every run listens to it
  setMaxListeners(0, stopped.signal)
  let builders: ReadonlyMap<string, Builder> = new Map()
  const queues = new Map(
    jobs.map(job => [
      job.name,
      createJobQueue(job, name => builders.get(name), deps, stopped.signal),
    ]),
  )
  const nextFireAt = new Map<string, number>()
  for (const job of jobs) {
    const intervals = Object.values(job.times).map(cron =>
      deps.cron.intervalSeconds(cron),
    )
    // One splay for all tasks of a job, so that tasks due together run together
    const splayMs = Math.min(...intervals, maxSplaySeconds) * 1000
    const expectNext = () => {
      const seconds = Object.values(job.times).map(cron => deps.cron.secondsToNext(cron))
      nextFireAt.set(job.name, performance.now() + Math.min(...seconds) * 1000)
    }
    expectNext()
    for (const [task, cron] of Object.entries(job.times))
      deps.cron.every(cron, task, () => {
        expectNext()
        for (const name of builders.keys()) {
          const fraction =
            splayFraction(name) * (1 - job.jitter) + deps.random() * job.jitter
          queues.get(job.name)?.add(name, task, fraction * splayMs)
        }
      })
  }
  return {
    setBuilders: next => {
      const nextByName = new Map(next.map(builder => [builder.name, builder]))
      for (const name of builders.keys())
        if (!nextByName.has(name)) for (const queue of queues.values()) queue.drop(name)
      builders = nextByName
    },
    runOnce: (job, { name }, delayMs) => {
      if (builders.has(name)) queues.get(job)?.add(name, job, delayMs)
    },
    lagSeconds: name => {
      const overdueMs = performance.now() - (nextFireAt.get(name) ?? Infinity)
      return Math.max(0, overdueMs / 1000, queues.get(name)?.lagSeconds() ?? 0)
    },
    stop: async () => {
      stopped.abort(new Error('the monitor is stopping'))
      await deps.cron.stop()
      await Promise.all([...queues.values()].map(queue => queue.stop()))
    },
  }
}

interface JobQueue {
  /** Adds a task. Tasks that are not started yet are done in one run, at the earliest of their times. */
  add(builder: string, task: string, delayMs: number): void
  drop(builder: string): void
  lagSeconds(): number
  stop(): Promise<void>
}

/**
 * The runs of one job: a timer for each run that is not due yet, a queue of due ones, and those in progress. Builders
 * are referred to by name, so that a run uses the machine line of the moment at which it starts.
 */
const createJobQueue = (
  job: Job,
  findBuilder: (name: string) => Builder | undefined,
  deps: SchedulerDeps,
  signal: AbortSignal,
): JobQueue => {
  const timers = new Map<
    string,
    { readonly timer: NodeJS.Timeout; readonly at: number }
  >()
  const queue: { readonly builder: Builder['name']; readonly dueAt: number }[] = []
  const running = new Map<string, Promise<void>>()
  /** Start of each run, by builder. */
  const startedAt = new Map<string, number>()
  let lastEndAt = performance.now()
  /** Runs that count against the limit. */
  let concurrent = 0
  const dueTasks = new Map<string, Set<string>>()

  const runNext = () => {
    while (concurrent < job.concurrency && !signal.aborted) {
      const index = queue.findIndex(({ builder }) => {
        const current = findBuilder(builder)
        return (
          current && !startedAt.has(builder) && !running.has(job.exclusiveKey(current))
        )
      })
      const [next] = index < 0 ? [] : queue.splice(index, 1)
      const builder = next && findBuilder(next.builder)
      if (!next || !builder) return
      const { name } = builder
      deps.onDelay(job.name, Math.max(0, (performance.now() - next.dueAt) / 1000))
      const tasks = dueTasks.get(name) ?? new Set<string>()
      dueTasks.delete(name)
      const key = job.exclusiveKey(builder)
      startedAt.set(name, performance.now())
      concurrent++
      let counts = true
      const stopCounting = () => {
        if (!counts) return
        counts = false
        concurrent--
        runNext()
      }
      const expected = setTimeout(stopCounting, job.expectedMs)
      const done = job
        .run(builder, tasks, signal)
        .catch((error: unknown) => deps.onError(job.name, builder, error))
        .finally(() => {
          clearTimeout(expected)
          running.delete(key)
          startedAt.delete(name)
          lastEndAt = performance.now()
          stopCounting()
          runNext()
        })
      running.set(key, done)
    }
  }
  const clearTimer = (name: string) => {
    clearTimeout(timers.get(name)?.timer)
    timers.delete(name)
  }
  return {
    add: (name, task, delayMs) => {
      if (signal.aborted) return
      dueTasks.set(name, (dueTasks.get(name) ?? new Set()).add(task))
      const at = performance.now() + delayMs
      const pending = timers.get(name)
      // A scheduled run neither postpones a requested one nor adds a second one
      if (pending && pending.at <= at) return
      if (queue.some(({ builder }) => builder === name)) return
      clearTimer(name)
      const timer = setTimeout(() => {
        timers.delete(name)
        queue.push({ builder: name, dueAt: at })
        runNext()
      }, delayMs)
      timers.set(name, { timer, at })
    },
    drop: name => {
      dueTasks.delete(name)
      clearTimer(name)
      const index = queue.findIndex(({ builder }) => builder === name)
      if (index >= 0) queue.splice(index, 1)
    },
    lagSeconds: () => {
      const oldestStart = Math.min(...startedAt.values())
      const waitingSince = Math.max(
        Math.min(...queue.map(({ dueAt }) => dueAt)),
        lastEndAt,
      )
      return Math.max(0, performance.now() - Math.min(oldestStart, waitingSince)) / 1000
    },
    stop: async () => {
      for (const name of [...timers.keys()]) clearTimer(name)
      queue.length = 0
      await Promise.all(running.values())
    },
  }
}
