import { isDeepStrictEqual } from 'node:util'
import { digestFiles } from '../config/digest-files.ts'
import type { WebConfig } from '../config/web/web-config.ts'
import type { Log } from '../log/log.ts'
import type { WebAccess } from '../model/index.ts'

export type ValidWebConfig = Extract<WebConfig, { readonly ok: true }>

export interface WebConfigWatchDeps {
  /** What was read at start. */
  readonly first: ValidWebConfig
  readonly load: () => Promise<WebConfig>
  readonly log: Log
  /** Called after each reading with what was wrong; empty where it is taken over. */
  readonly onRead: (errors: readonly string[]) => void
  /** Milliseconds between two looks at the files. */
  readonly intervalMs?: number
}

export interface WebConfigWatch {
  /** What holds now. The same object as long as nothing has changed. */
  access(): WebAccess
  /** Reads again; resolves with what is wrong, and then the old one stays. */
  reload(): Promise<readonly string[]>
  stop(): void
}

/**
 * Follows a web configuration file and the certificates that it names. A change is taken over once two looks agree on it:
 * who writes a certificate and then its key is left the time to do so.
 */
export const watchWebConfig = (deps: WebConfigWatchDeps): WebConfigWatch => {
  const { first, load, log, onRead, intervalMs = 2000 } = deps
  let { access, files } = first
  let loadedDigest: string | null = null
  let previousDigest: string | null = null
  let last: Promise<unknown> = Promise.resolve()

  const read = async (digest: string): Promise<readonly string[]> => {
    const config = await load()
    loadedDigest = digest
    if (config.files.join('\0') !== files.join('\0')) {
      files = config.files
      loadedDigest = await digestFiles(files)
    }
    for (const error of config.ok ? [] : config.errors)
      log.error({ error }, 'the new web configuration is bad, the old one stays')
    if (config.ok && !isDeepStrictEqual(config.access, access)) {
      access = config.access
      log.info({}, 'the web configuration changed')
      warn(config, log)
    }
    const errors = config.ok ? [] : config.errors
    onRead(errors)
    return errors
  }
  /** One after the other. */
  const serially = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
  const check = async (): Promise<void> => {
    const digest = await digestFiles(files)
    const isSettled = digest === previousDigest
    previousDigest = digest
    if (isSettled && digest !== loadedDigest) await read(digest)
  }

  warn(first, log)
  const timer = setInterval(
    () =>
      void serially(check).catch((error: unknown) =>
        log.error({ err: error }, 'cannot look at the web configuration'),
      ),
    intervalMs,
  )
  return {
    access: () => access,
    reload: () => serially(async () => read(await digestFiles(files))),
    stop: () => clearInterval(timer),
  }
}

const warn = ({ warnings }: ValidWebConfig, log: Log): void => {
  for (const warning of warnings) log.warn({ warning }, 'web configuration')
}
