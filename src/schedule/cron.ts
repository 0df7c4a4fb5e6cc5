import { createTask, validateDetailed, type ScheduledTask } from 'node-cron'
import type { CronScheduler } from '../model/index.ts'

/** node-cron prints colored warnings to stderr. The scheduler handles overlaps itself. */
const silentLogger = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debug: () => undefined,
}

/** Returns why an expression is invalid, or null. */
export const cronError = (expression: string): string | null => {
  const { valid, errors } = validateDetailed(expression)
  if (valid) return null
  const messages = errors
    .map(({ field, value, message }) =>
      field === 'expression' ? message : `${value} is not a valid ${field}`,
    )
    .join('; ')
  return messages.slice(0, 300) || 'not five or six fields'
}

/** Wraps node-cron. Missed runs (suspend, blocked event loop) are skipped, never repeated. */
export const createCronScheduler = (timeZone: string): CronScheduler => {
  const tasks = new Set<ScheduledTask>()
  const create = (cron: string, name: string, task: () => void) =>
    createTask(cron, task, {
      name,
      timezone: timeZone,
      suppressMissedWarning: true,
      logger: silentLogger,
    })
  const nextRuns = (cron: string): readonly Date[] => {
    const task = create(cron, 'next runs', () => undefined)
    const runs = task.getNextRuns(2)
    void task.destroy()
    return runs
  }
  return {
    every: (cron, name, task) => {
      const created = create(cron, name, task)
      tasks.add(created)
      void created.start()
      return () => {
        tasks.delete(created)
        void created.destroy()
      }
    },
    secondsToNext: cron => {
      const [next] = nextRuns(cron)
      return next ? Math.max(0, (next.getTime() - Date.now()) / 1000) : 3600
    },
    intervalSeconds: cron => {
      const [first, second] = nextRuns(cron)
      return first && second ? (second.getTime() - first.getTime()) / 1000 : 3600
    },
    stop: async () => {
      for (const task of tasks) await task.destroy()
      tasks.clear()
    },
  }
}
