import { isDeepStrictEqual } from 'node:util'
import { digestFiles } from '../config/digest-files.ts'
import type { Log } from '../log/log.ts'
import type { ActiveBuilders } from '../model/index.ts'
import { createSerialQueue } from '../schedule/serial-queue.ts'

export interface BuildersWatchDeps {
  readonly read: () => Promise<ActiveBuilders>
  /** Puts a list into effect. */
  readonly apply: (active: ActiveBuilders) => void
  readonly log: Log
  /** Milliseconds between two checks of the files. */
  readonly intervalMs?: number
}

export interface BuildersWatch {
  /** Reads the list for the first time. Rejects when it cannot be read. */
  load(): Promise<ActiveBuilders>
  /** Puts the list of `load` into effect. */
  applyLoaded(): void
  /** Reads the list and puts it into effect. Rejects when it cannot be read; the previous list stays active then. */
  reload(): Promise<ActiveBuilders>
  /** Reloads the list whenever one of its files has changed, until `stop`. */
  start(): void
  stop(): void
}

/** Creates the watch of the active builders list. */
export const createBuildersWatch = ({
  read,
  apply,
  log,
  intervalMs = 5000,
}: BuildersWatchDeps): BuildersWatch => {
  let files: readonly string[] = []
  /** Of the files before they were read, so that a change during the reading is noticed. */
  let digest: string | null = null
  const serially = createSerialQueue()
  let timer: NodeJS.Timeout | undefined

  let current: ActiveBuilders | null = null

  const load = async (): Promise<ActiveBuilders> => {
    const before = await digestFiles(files)
    const active = await read()
    const isSameFiles = active.files.join('\0') === files.join('\0')
    files = active.files
    // The digest of other files was not taken before they were read: the next check reads once more
    digest = isSameFiles ? before : null
    return active
  }
  const reload = async (): Promise<ActiveBuilders> => {
    current = await load()
    apply(current)
    return current
  }
  const check = async () => {
    if ((await digestFiles(files)) === digest) return
    const next = await load()
    if (isDeepStrictEqual(next, current)) return
    current = next
    apply(next)
    log.info({ builders: next.builders.length }, 'builders list changed')
  }
  return {
    load: () => serially(async () => (current = await load())),
    applyLoaded: () => {
      if (current) apply(current)
    },
    reload: () => serially(reload),
    start: () => {
      timer = setInterval(
        () =>
          void serially(check).catch((error: unknown) =>
            log.error({ err: error }, 'cannot read the builders list'),
          ),
        intervalMs,
      )
    },
    stop: () => clearInterval(timer),
  }
}
