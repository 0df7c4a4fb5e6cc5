import { isDeepStrictEqual } from 'node:util'
import { digestFiles } from '../config/digest-files.ts'
import type { WebConfig } from '../config/web/web-config.ts'
import type { Log } from '../log/log.ts'
import type { WebAccess } from '../model/index.ts'
import { createSerialQueue } from '../schedule/serial-queue.ts'

export type ValidWebConfig = Extract<WebConfig, { readonly ok: true }>

export interface WebConfigWatchDeps {
  /** The configuration that was loaded at start. */
  readonly first: ValidWebConfig
  readonly load: () => Promise<WebConfig>
  readonly log: Log
  /** Called after each load with its errors. Empty when it was applied. */
  readonly onRead: (errors: readonly string[]) => void
  /** Milliseconds between two checks of the files. */
  readonly intervalMs?: number
}

export interface WebConfigWatch {
  /** Returns the effective configuration. The same object until it changes. */
  access(): WebAccess
  /** Loads the configuration again. Resolves with the errors; with errors, the previous configuration stays active. */
  reload(): Promise<readonly string[]>
  stop(): void
}

/**
 * Watches a web configuration file and its certificates. A change is applied when two consecutive checks find the same
 * content, so that a certificate and its key can be replaced one after the other.
 */
export const watchWebConfig = (deps: WebConfigWatchDeps): WebConfigWatch => {
  const { first, load, log, onRead, intervalMs = 2000 } = deps
  let { access, files } = first
  let loadedDigest: string | null = null
  let previousDigest: string | null = null
  const serially = createSerialQueue()

  const read = async (digest: string): Promise<readonly string[]> => {
    const config = await load()
    loadedDigest = digest
    if (config.files.join('\0') !== files.join('\0')) {
      files = config.files
      // The digest of the new files is unknown before this load, so the next check loads once more
      loadedDigest = null
    }
    for (const error of config.ok ? [] : config.errors)
      log.error({ error }, 'invalid web configuration, the previous one stays active')
    if (config.ok && !isDeepStrictEqual(config.access, access)) {
      access = config.access
      log.info({}, 'web configuration changed')
      logWarnings(config, log)
    }
    const errors = config.ok ? [] : config.errors
    onRead(errors)
    return errors
  }
  const check = async (): Promise<void> => {
    const digest = await digestFiles(files)
    const isSettled = digest === previousDigest
    previousDigest = digest
    if (isSettled && digest !== loadedDigest) await read(digest)
  }

  logWarnings(first, log)
  const timer = setInterval(
    () =>
      void serially(check).catch((error: unknown) =>
        log.error({ err: error }, 'cannot read the web configuration'),
      ),
    intervalMs,
  )
  return {
    access: () => access,
    reload: () => serially(async () => read(await digestFiles(files))),
    stop: () => clearInterval(timer),
  }
}

const logWarnings = ({ warnings }: ValidWebConfig, log: Log): void => {
  for (const warning of warnings) log.warn({ warning }, 'web configuration')
}
