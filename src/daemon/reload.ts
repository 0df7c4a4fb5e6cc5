import type { Config, ConfigResult } from '../config/config.ts'
import type { Log } from '../log/log.ts'
import type { Store } from '../state/store.ts'
import { parseAddresses } from './context.ts'
import type { HttpServers } from './http-servers.ts'

export interface ReloadDeps {
  readonly loadConfig: () => Promise<ConfigResult>
  /** Replaces the configured addresses (`--listen`). */
  readonly listen?: readonly string[]
  readonly http: Pick<HttpServers, 'rebind' | 'reloadWeb'>
  /** Puts a valid configuration into effect. */
  readonly applyConfig: (config: Config) => Promise<void>
  /** Reads the builders list and puts it into effect. */
  readonly reloadBuilders: () => Promise<unknown>
  readonly setStatus: (change: Partial<ReloadStatus>) => void
  readonly store: Pick<Store, 'updateMonitor' | 'evaluateAll'>
  readonly log: Log
}

/** Which parts were accepted when they were loaded last. */
export interface ReloadStatus {
  readonly config: boolean
  readonly web: boolean
  readonly listen: boolean
}

/** Combines the status of all parts into `lastReloadOk` of the snapshot. */
export const trackReloadStatus = (store: Pick<Store, 'updateMonitor'>) => {
  let status: ReloadStatus = { config: true, web: true, listen: true }
  return {
    set: (change: Partial<ReloadStatus>): void => {
      status = { ...status, ...change }
      store.updateMonitor({ lastReloadOk: status.config && status.web && status.listen })
    },
  }
}

export interface Reload {
  /**
   * Reloads our configuration, the web configuration and the builders list. Each of the three is applied completely or not
   * at all; what is invalid keeps its previous state. Resolves with all errors, never rejects. One reload runs at a time, and
   * at most one waits, which all further requests share.
   */
  reload(): Promise<readonly string[]>
  /** Resolves when the running reload has ended. Later ones do nothing. */
  stop(): Promise<void>
}

export const createReload = (deps: ReloadDeps): Reload => {
  const { http, log, store, setStatus } = deps
  let last: Promise<unknown> = Promise.resolve()
  let isStopped = false
  let waiting: Promise<readonly string[]> | null = null

  const reloadConfig = async (): Promise<readonly string[]> => {
    const loaded = await deps.loadConfig()
    setStatus({ config: loaded.ok })
    if (!loaded.ok) {
      for (const error of loaded.errors)
        log.error({ error }, 'invalid configuration, the previous one stays active')
      return loaded.errors
    }
    const { config } = loaded
    const errors = await http.rebind(parseAddresses(deps.listen ?? config.listen))
    setStatus({ listen: errors.length === 0 })
    if (errors.length > 0) return errors
    await deps.applyConfig(config)
    store.evaluateAll()
    return []
  }
  const part = async (
    name: keyof ReloadStatus | 'builders',
    work: () => Promise<readonly string[]>,
  ): Promise<readonly string[]> => {
    try {
      return await work()
    } catch (error) {
      log.error({ err: error, part: name }, 'reload failed')
      if (name !== 'builders') setStatus({ [name]: false })
      return [`${name}: ${error instanceof Error ? error.message : String(error)}`]
    }
  }
  const reloadAll = async (): Promise<readonly string[]> => {
    store.updateMonitor({ reloading: true })
    const errors = [
      ...(await part('config', reloadConfig)),
      ...(await part('web', () => http.reloadWeb())),
      ...(await part('builders', async () => {
        await deps.reloadBuilders()
        return []
      })),
    ]
    store.updateMonitor({ reloading: false })
    log.info({ errors: errors.length }, 'reloaded')
    return errors
  }
  return {
    reload: () => {
      // A request that finds one waiting shares it: that one reads everything after the request was made
      waiting ??= last.then(() => {
        waiting = null
        return isStopped ? ['builder-monitor is stopping'] : reloadAll()
      })
      last = waiting
      return waiting
    },
    stop: async () => {
      isStopped = true
      await last
    },
  }
}
