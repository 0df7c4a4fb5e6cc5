import { isDeepStrictEqual } from 'node:util'
import { digestOf } from './config/watch.ts'
import type { WebConfig } from './config/web-config.ts'
import type { Log } from './log.ts'
import type { WebAccess } from './model.ts'

export type GoodWebConfig = Extract<WebConfig, { readonly ok: true }>

export interface WebWatchDeps {
  /** What was read at start. */
  readonly first: GoodWebConfig
  readonly load: () => Promise<WebConfig>
  readonly log: Log
  /** Called after each reading with what was wrong; empty where it is taken over. */
  readonly onRead: (faults: readonly string[]) => void
  /** Milliseconds between two looks at the files. */
  readonly everyMs?: number
}

export interface WebWatch {
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
export const createWebWatch = (deps: WebWatchDeps): WebWatch => {
  const { first, load, log, onRead, everyMs = 2000 } = deps
  let { access, files } = first
  let taken: string | null = null
  let seen: string | null = null
  let last: Promise<unknown> = Promise.resolve()

  const read = async (digest: string): Promise<readonly string[]> => {
    const config = await load()
    taken = digest
    if (config.files.join('\0') !== files.join('\0')) {
      files = config.files
      taken = await digestOf(files)
    }
    for (const error of config.ok ? [] : config.errors)
      log.error({ error }, 'the new web configuration is bad, the old one stays')
    if (config.ok && !isDeepStrictEqual(config.access, access)) {
      access = config.access
      log.info({}, 'the web configuration changed')
      warn(config, log)
    }
    const faults = config.ok ? [] : config.errors
    onRead(faults)
    return faults
  }
  /** One after the other. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    return done
  }
  const look = async (): Promise<void> => {
    const digest = await digestOf(files)
    const isSettled = digest === seen
    seen = digest
    if (isSettled && digest !== taken) await read(digest)
  }

  warn(first, log)
  const timer = setInterval(
    () =>
      void inTurn(look).catch((error: unknown) =>
        log.error({ err: error }, 'cannot look at the web configuration'),
      ),
    everyMs,
  )
  return {
    access: () => access,
    reload: () => inTurn(async () => read(await digestOf(files))),
    stop: () => clearInterval(timer),
  }
}

const warn = ({ warnings }: GoodWebConfig, log: Log): void => {
  for (const warning of warnings) log.warn({ warning }, 'web configuration')
}
