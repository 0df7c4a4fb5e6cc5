import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { Builder, CronScheduler } from '../model/index.ts'

/** Work that is done for each builder at the times of cron expressions. */
export interface Job {
  readonly name: string
  /** Cron expressions by what they make due; what is due at the same time is done in one run. */
  readonly times: Readonly<Record<string, string>>
  /** Logins and canaries are shifted by a phase of the builder's own and a random part, telemetry only by the phase. */
  readonly jitter: number
  /** At most this many side by side, over all builders. */
  readonly concurrency: number
  /** Never two at once with this key; the builder's name, or its host for what hurts a host. */
  readonly exclusiveKey: (builder: Builder) => string
  readonly run: (
    builder: Builder,
    due: ReadonlySet<string>,
    signal: AbortSignal,
  ) => Promise<void>
}

export interface SchedulerDeps {
  readonly cron: CronScheduler
  /** 0 to 1. */
  readonly random: () => number
  readonly onDelay: (job: string, seconds: number) => void
  /** A job that throws is a bug of ours; it must not end the planner. */
  readonly onError: (job: string, builder: Builder, error: unknown) => void
}

export interface Scheduler {
  setBuilders(builders: readonly Builder[]): void
  /** Runs a job once for a builder after a delay, besides its times. An earlier request for the same wins. */
  runOnce(job: string, builder: Builder, delayMs: number): void
  /** Stops everything and resolves when nothing runs any more. */
  stop(): Promise<void>
}

/** A builder's own place in the interval, 0 to 1, the same after every restart. */
export const splayFraction = (name: string): number =>
  createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32

/** A phase is no longer than this, so that a long interval does not delay the look by hours. */
const maxSplaySeconds = 300

/** Runs jobs over builders: spread out, never overlapping itself, never more than `width` side by side. */
export const createScheduler = (jobs: readonly Job[], deps: SchedulerDeps): Scheduler => {
  const stopped = new AbortController()
  // Each job that runs listens to it
  setMaxListeners(0, stopped.signal)
  const queues = new Map(
    jobs.map(job => [job.name, createJobQueue(job, deps, stopped.signal)]),
  )
  let builders: readonly Builder[] = []
  for (const job of jobs) {
    const intervals = Object.values(job.times).map(cron =>
      deps.cron.intervalSeconds(cron),
    )
    // One phase for all times of a job, so that what falls together goes out together
    const spread = Math.min(...intervals, maxSplaySeconds) * 1000
    for (const [what, cron] of Object.entries(job.times))
      deps.cron.every(cron, what, () => {
        for (const builder of builders) {
          const shift =
            splayFraction(builder.name) * (1 - job.jitter) + deps.random() * job.jitter
          queues.get(job.name)?.add(builder, what, shift * spread, 'scheduled')
        }
      })
  }
  return {
    setBuilders: next => {
      const names = new Set(next.map(builder => builder.name))
      for (const builder of builders)
        if (!names.has(builder.name))
          for (const jobQueue of queues.values()) jobQueue.drop(builder)
      builders = next
    },
    runOnce: (job, builder, delayMs) => {
      if (builders.some(known => known.name === builder.name))
        queues.get(job)?.add(builder, job, delayMs, 'soon')
    },
    stop: async () => {
      stopped.abort(new Error('the monitor stops'))
      await deps.cron.stop()
      await Promise.all([...queues.values()].map(jobQueue => jobQueue.idle()))
    },
  }
}

interface JobQueue {
  add(builder: Builder, what: string, delayMs: number, origin: 'scheduled' | 'soon'): void
  drop(builder: Builder): void
  idle(): Promise<void>
}

interface QueuedRun {
  readonly builder: Builder
  readonly dueAt: number
}

/** One job's queue: timers for what is not due yet, a queue for what is due, a set for what runs. */
const createJobQueue = (job: Job, deps: SchedulerDeps, signal: AbortSignal): JobQueue => {
  const timers = new Map<
    string,
    { readonly timer: NodeJS.Timeout; readonly at: number }
  >()
  const queue: QueuedRun[] = []
  const running = new Map<string, Promise<void>>()
  const busyNames = new Set<string>()
  const due = new Map<string, Set<string>>()

  const runNext = () => {
    while (running.size < job.concurrency && !signal.aborted) {
      const next = queue.findIndex(w => !running.has(job.exclusiveKey(w.builder)))
      if (next < 0) return
      const [{ builder, dueAt }] = queue.splice(next, 1) as [QueuedRun]
      const key = job.exclusiveKey(builder)
      deps.onDelay(job.name, Math.max(0, (performance.now() - dueAt) / 1000))
      busyNames.add(builder.name)
      const what = due.get(builder.name) ?? new Set<string>()
      due.delete(builder.name)
      const done = job
        .run(builder, what, signal)
        .catch((error: unknown) => deps.onError(job.name, builder, error))
        .finally(() => {
          running.delete(key)
          busyNames.delete(builder.name)
          runNext()
        })
      running.set(key, done)
    }
  }
  const clear = (name: string) => {
    clearTimeout(timers.get(name)?.timer)
    timers.delete(name)
  }
  return {
    add: (builder, what, delayMs, origin) => {
      if (signal.aborted) return
      if (origin === 'scheduled' && busyNames.has(builder.name)) return
      due.set(builder.name, (due.get(builder.name) ?? new Set()).add(what))

      const at = performance.now() + delayMs
      const before = timers.get(builder.name)
      // The times of the schedule never push back what was asked for sooner, and never pile up
      if (before && before.at <= at) return

      if (isQueued(queue, builder)) return
      clear(builder.name)
      const timer = setTimeout(() => {
        timers.delete(builder.name)
        queue.push({ builder, dueAt: at })
        runNext()
      }, delayMs)
      timers.set(builder.name, { timer, at })
    },
    drop: builder => {
      due.delete(builder.name)

      clear(builder.name)
      const at = queue.findIndex(w => w.builder.name === builder.name)
      if (at >= 0) queue.splice(at, 1)
    },
    idle: async () => {
      for (const name of [...timers.keys()]) clear(name)
      queue.length = 0
      await Promise.all(running.values())
    },
  }
}

const isQueued = (queue: readonly QueuedRun[], builder: Builder): boolean =>
  queue.some(waiting => waiting.builder.name === builder.name)
