import { digestFiles } from '../config/digest-files.ts'
import type { Log } from '../log/log.ts'
import type { ActiveBuilders } from '../model/index.ts'

export interface BuildersWatchDeps {
  /** The list as it is in force, with the files that it was read from. */
  readonly active: () => ActiveBuilders
  readonly read: () => Promise<ActiveBuilders>
  readonly apply: (next: ActiveBuilders) => void
  readonly log: Log
}

/** How often the files are looked at for a change. */
const intervalMs = 5000

/** Adopts the builders list anew when a file that it was read from has changed. Runs until the returned function is called. */
export const watchBuilders = async ({
  active,
  read,
  apply,
  log,
}: BuildersWatchDeps): Promise<() => void> => {
  let digest = await digestFiles(active().files)
  let isChecking = false
  let isStopped = false
  const check = async () => {
    if (isChecking) return
    isChecking = true
    try {
      if ((await digestFiles(active().files)) === digest || isStopped) return
      apply(await read())
      // The new list may name other files
      digest = await digestFiles(active().files)
      log.info({ builders: active().builders.length }, 'the builders list changed')
    } catch (error) {
      log.error({ err: error }, 'cannot read the builders list')
    } finally {
      isChecking = false
    }
  }
  const timer = setInterval(() => void check(), intervalMs)
  return () => {
    isStopped = true
    clearInterval(timer)
  }
}
