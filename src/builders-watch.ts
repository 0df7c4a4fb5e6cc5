import { digestOf } from './config/watch.ts'
import type { Log } from './log.ts'
import type { ActiveBuilders } from './model.ts'

export interface BuildersWatchDeps {
  /** The list as it is in force, with the files that it was read from. */
  readonly active: () => ActiveBuilders
  readonly read: () => Promise<ActiveBuilders>
  readonly adopt: (next: ActiveBuilders) => void
  readonly log: Log
}

/** How often the files are looked at for a change. */
const everyMs = 5000

/** Adopts the builders list anew when a file that it was read from has changed. Runs until the returned function is called. */
export const watchBuilders = async ({
  active,
  read,
  adopt,
  log,
}: BuildersWatchDeps): Promise<() => void> => {
  let digest = await digestOf(active().files)
  let isLooking = false
  let isOver = false
  const look = async () => {
    if (isLooking) return
    isLooking = true
    try {
      if ((await digestOf(active().files)) === digest || isOver) return
      adopt(await read())
      // The new list may name other files
      digest = await digestOf(active().files)
      log.info({ builders: active().builders.length }, 'the builders list changed')
    } catch (error) {
      log.error({ err: error }, 'cannot read the builders list')
    } finally {
      isLooking = false
    }
  }
  const timer = setInterval(() => void look(), everyMs)
  return () => {
    isOver = true
    clearInterval(timer)
  }
}
