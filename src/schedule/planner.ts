import { createHash } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { Builder, Timetable } from '../model.ts'

/** Work that is done for each builder at the times of cron expressions. */
export interface Job {
  readonly name: string
  /** Cron expressions by what they make due; what is due at the same time is done in one run. */
  readonly times: Readonly<Record<string, string>>
  /** Logins and canaries are shifted by a phase of the builder's own and a random part, telemetry only by the phase. */
  readonly jitter: number
  /** At most this many side by side, over all builders. */
  readonly width: number
  /** Never two at once with this key; the builder's name, or its host for what hurts a host. */
  readonly exclusive: (builder: Builder) => string
  readonly run: (
    builder: Builder,
    due: ReadonlySet<string>,
    signal: AbortSignal,
  ) => Promise<void>
}

export interface PlannerDeps {
  readonly timetable: Timetable
  /** 0 to 1. */
  readonly random: () => number
  readonly onLate: (job: string, seconds: number) => void
  /** A job that throws is a bug of ours; it must not end the planner. */
  readonly onError: (job: string, builder: Builder, error: unknown) => void
}

export interface Planner {
  setBuilders(builders: readonly Builder[]): void
  /** Runs a job once for a builder after a delay, besides its times. An earlier request for the same wins. */
  soon(job: string, builder: Builder, delayMs: number): void
  /** Stops everything and resolves when nothing runs any more. */
  stop(): Promise<void>
}

/** A builder's own place in the interval, 0 to 1, the same after every restart. */
export const phaseOf = (name: string): number =>
  createHash('sha256').update(name).digest().readUInt32BE(0) / 2 ** 32

/** A phase is no longer than this, so that a long interval does not delay the look by hours. */
const maxPhaseSeconds = 300

/** Runs jobs over builders: spread out, never overlapping itself, never more than `width` side by side. */
export const createPlanner = (jobs: readonly Job[], deps: PlannerDeps): Planner => {
  const stopped = new AbortController()
  // Each job that runs listens to it
  setMaxListeners(0, stopped.signal)
  const lines = new Map(
    jobs.map(job => [job.name, createLine(job, deps, stopped.signal)]),
  )
  let builders: readonly Builder[] = []
  for (const job of jobs) {
    const intervals = Object.values(job.times).map(cron =>
      deps.timetable.intervalSeconds(cron),
    )
    // One phase for all times of a job, so that what falls together goes out together
    const spread = Math.min(...intervals, maxPhaseSeconds) * 1000
    for (const [what, cron] of Object.entries(job.times))
      deps.timetable.every(cron, what, () => {
        for (const builder of builders) {
          const shift =
            phaseOf(builder.name) * (1 - job.jitter) + deps.random() * job.jitter
          lines.get(job.name)?.add(builder, what, shift * spread, 'scheduled')
        }
      })
  }
  return {
    setBuilders: next => {
      const names = new Set(next.map(builder => builder.name))
      for (const builder of builders)
        if (!names.has(builder.name))
          for (const line of lines.values()) line.drop(builder)
      builders = next
    },
    soon: (job, builder, delayMs) => {
      if (builders.some(known => known.name === builder.name))
        lines.get(job)?.add(builder, job, delayMs, 'soon')
    },
    stop: async () => {
      stopped.abort(new Error('the monitor stops'))
      await deps.timetable.stop()
      await Promise.all([...lines.values()].map(line => line.idle()))
    },
  }
}

interface Line {
  add(builder: Builder, what: string, delayMs: number, why: 'scheduled' | 'soon'): void
  drop(builder: Builder): void
  idle(): Promise<void>
}

interface Waiting {
  readonly builder: Builder
  readonly dueAt: number
}

/** One job's queue: timers for what is not due yet, a queue for what is due, a set for what runs. */
const createLine = (job: Job, deps: PlannerDeps, signal: AbortSignal): Line => {
  const timers = new Map<
    string,
    { readonly timer: NodeJS.Timeout; readonly at: number }
  >()
  const queue: Waiting[] = []
  const running = new Map<string, Promise<void>>()
  const busyNames = new Set<string>()
  const due = new Map<string, Set<string>>()

  const pump = () => {
    while (running.size < job.width && !signal.aborted) {
      const next = queue.findIndex(w => !running.has(job.exclusive(w.builder)))
      if (next < 0) return
      const [{ builder, dueAt }] = queue.splice(next, 1) as [Waiting]
      const key = job.exclusive(builder)
      deps.onLate(job.name, Math.max(0, (performance.now() - dueAt) / 1000))
      busyNames.add(builder.name)
      const what = due.get(builder.name) ?? new Set<string>()
      due.delete(builder.name)
      const done = job
        .run(builder, what, signal)
        .catch((error: unknown) => deps.onError(job.name, builder, error))
        .finally(() => {
          running.delete(key)
          busyNames.delete(builder.name)
          pump()
        })
      running.set(key, done)
    }
  }
  const clear = (name: string) => {
    clearTimeout(timers.get(name)?.timer)
    timers.delete(name)
  }
  return {
    add: (builder, what, delayMs, why) => {
      if (signal.aborted) return
      if (why === 'scheduled' && busyNames.has(builder.name)) return
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
        pump()
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

const isQueued = (queue: readonly Waiting[], builder: Builder): boolean =>
  queue.some(waiting => waiting.builder.name === builder.name)
