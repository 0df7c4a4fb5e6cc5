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
  /** Loads the configuration again. Resolves with the errors; with errors, the previous configuration stays active. To require no passwords or client certificates any more is an error. */
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
    const errors = config.ok ? lostProtection(access, config.access) : config.errors
    for (const error of errors)
      log.error({ error }, 'invalid web configuration, the previous one stays active')
    if (config.ok && errors.length === 0 && !isDeepStrictEqual(config.access, access)) {
      access = config.access
      log.info({}, 'web configuration changed')
      logWarnings(config, log)
    }
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

/**
 * Returns what a new configuration would stop to require. An emptied or truncated file must not open the monitor to all;
 * a restart applies it.
 */
const lostProtection = (before: WebAccess, after: WebAccess): readonly string[] => [
  ...(before.users.size > 0 && after.users.size === 0
    ? [
        'the web configuration file has no passwords any more: they stay required until a restart',
      ]
    : []),
  ...(requiresCertificate(before) && !requiresCertificate(after)
    ? [
        'the web configuration file no longer requires client certificates: they stay required until a restart',
      ]
    : []),
]

const requiresCertificate = ({ tls }: WebAccess): boolean =>
  tls?.clientAuth === 'RequireAnyClientCert' ||
  tls?.clientAuth === 'RequireAndVerifyClientCert'

const logWarnings = ({ warnings }: ValidWebConfig, log: Log): void => {
  for (const warning of warnings) log.warn({ warning }, 'web configuration')
}
