import { createTask, validateDetailed, type ScheduledTask } from 'node-cron'
import type { CronScheduler } from '../model/index.ts'

/** What node-cron would print in colours on stderr is not for anybody: overlaps are our own business. */
const silentLogger = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debug: () => undefined,
}

/** Why an expression cannot be used, or null. */
export const cronError = (expression: string): string | null => {
  const { valid, errors } = validateDetailed(expression)
  if (!valid)
    return (
      errors
        .map(error => error.message)
        .join('; ')
        .slice(0, 300) || 'not five or six fields'
    )
  return null
}

/** node-cron behind our port. Missed runs (suspend, a busy loop) are skipped, never caught up. */
export const createCronScheduler = (timeZone: string): CronScheduler => {
  const tasks = new Set<ScheduledTask>()
  const create = (cron: string, name: string, task: () => void) =>
    createTask(cron, task, {
      name,
      timezone: timeZone,
      suppressMissedWarning: true,
      logger: silentLogger,
    })
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
    intervalSeconds: cron => {
      const probe = create(cron, 'interval', () => undefined)
      const [first, second] = probe.getNextRuns(2)
      void probe.destroy()
      return first && second ? (second.getTime() - first.getTime()) / 1000 : 3600
    },
    stop: async () => {
      for (const task of tasks) await task.destroy()
      tasks.clear()
    },
  }
}
