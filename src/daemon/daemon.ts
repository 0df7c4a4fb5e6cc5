import { hostname } from 'node:os'
import { reloadRoute, testAlertRoute } from '../exporters/api/admin.ts'
import type { AlertSettings } from '../alerts/settings.ts'
import { startAlerts } from '../alerts/start.ts'
import { createTestAlert } from '../alerts/test-alert.ts'
import { instanceAddress } from '../alerts/instance-address.ts'
import { watchBuilders } from './watch-builders.ts'
import { createClientMonitor } from './client-monitor.ts'
import type { Config } from '../config/config.ts'
import { parseListen } from '../config/config.ts'
import { nextHealth } from '../diagnosis/health.ts'
import { createEngine, type EngineDeps } from '../engine/engine.ts'
import type { Exporter } from '../exporters/exporter.ts'
import type { Route } from '../exporters/http/route.ts'
import { probeIntervals, scheduleChanged } from '../schedule/intervals.ts'
import { createJobs, type JobName } from './jobs.ts'
import type { AlertDelivery } from '../alerts/delivery/alert-delivery.ts'
import type { SendTestAlert } from '../alerts/delivery/send-test-alert.ts'
import type { Log } from '../log/log.ts'
import type {
  ActiveBuilders,
  Clock,
  Dial,
  LocalNix,
  Run,
  Sample,
  Snapshot,
  CronScheduler,
} from '../model/index.ts'
import type { CheckClient } from '../probes/client/checks.ts'
import { extractTrends } from '../probes/index.ts'
import type { ReadSlotLocks } from '../probes/slots/slot-locks.ts'
import { createScheduler, type Scheduler } from '../schedule/scheduler.ts'
import { parseBuilders, serializeBuilders } from '../state/persisted-builders.ts'
import type { StateFile } from '../state/state-file.ts'
import { createStore, type Store } from '../state/store.ts'
import type { Traces } from '../state/traces.ts'
import { startSelfCheck } from './self-check.ts'
import { startHttpServers, type HttpServersDeps } from './http-servers.ts'

export interface DaemonDeps {
  /** Reads our configuration; sentences where it is bad. */
  readonly loadConfig: () => Promise<
    | { readonly ok: true; readonly config: Config }
    | { readonly ok: false; readonly errors: readonly string[] }
  >
  readonly readBuilders: (signal: AbortSignal) => Promise<ActiveBuilders>
  readonly createDial: (nix: () => LocalNix) => Dial
  readonly createCron: (timeZone: string) => CronScheduler
  readonly exporters: readonly Exporter[]
  readonly delivery: Pick<AlertDelivery, 'start'>
  /** How late a job began, for the histogram. */
  readonly onDelay: (job: string, seconds: number) => void
  readonly run: Run
  readonly askLocalDaemon: EngineDeps['askLocalDaemon']
  readonly readSlotLocks: ReadSlotLocks
  readonly checkClient: CheckClient
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Log
  /** Where `status` and `reload` reach us; null for none. */
  readonly controlSocket: string | null
  /** Where the course of the newest attempts is kept. */
  readonly traces: Traces
  /** What outlives a restart. */
  readonly stateFile: StateFile
  /** Seconds below min-free that are nobody's concern; an hour by default. */
  readonly belowMinFreeSeconds?: number
  /** What /metrics prints of the families of the alerts, at that Unix time. */
  readonly readSamples: (snapshot: Snapshot, now: number) => readonly Sample[]
  /** What each `for` of an alert is multiplied by; 1 by default. */
  readonly alertForMultiplier?: number
  /** Sends one alert to every receiver, for `alert test`. */
  readonly sendTestAlert: SendTestAlert
  /** Replaces the configured addresses (tests, `--listen`). */
  readonly listen?: readonly string[]
  /** The web configuration file; without one, everybody may read. */
  readonly web?: NonNullable<HttpServersDeps['web']>
}

export interface Daemon {
  /** The addresses that are served now. */
  readonly addresses: readonly string[]
  readonly store: Store
  /** Reads everything again; what is bad keeps the old one. Resolves with a sentence for each fault. */
  reload(): Promise<readonly string[]>
  /** Ends everything, within 5 seconds. */
  stop(): Promise<void>
}

const stopMs = 4500

/** Starts the daemon. Rejects where it cannot listen; a bad first configuration is the caller's to notice. */
export const startDaemon = async (config: Config, deps: DaemonDeps): Promise<Daemon> => {
  const { clock, log } = deps
  const now = () => clock.now() / 1000
  const stopping = new AbortController()
  let current = config
  let active = await deps.readBuilders(stopping.signal)

  const intervals = () => probeIntervals(current, deps.createCron(current.timeZone))
  const store = createStore(
    (state, { monitor, problems }) =>
      nextHealth(state, {
        now: now(),
        selfCheckFailed: monitor.selfCheckFailed,
        intervals: monitor.intervals,
        problems,
        expect: expectationFor(current, state.builder.name),
        belowMinFreeSeconds: deps.belowMinFreeSeconds ?? 3600,
      }),
    now,
    {
      startedAt: now(),
      selfCheckFailed: false,
      lastReloadOk: true,
      failuresByKind: {},
      intervals: intervals(),
      ready: false,
    },
    parseBuilders(deps.stateFile.read('builders')),
    extractTrends,
  )
  deps.stateFile.watch(stateFileOk => store.updateMonitor({ stateFileOk }))
  // First, so that nothing has to be undone where the address is taken
  const routes: Route[] = deps.exporters.flatMap(one => one.routes?.(store) ?? [])
  routes.push(
    reloadRoute(() => reload()),
    testAlertRoute(() => {
      const settings = alertSettings(current, identity)
      const alert = createTestAlert(settings, now())
      return deps.sendTestAlert(
        current.alerting,
        alert,
        settings.externalUrl,
        stopping.signal,
      )
    }),
  )
  const health = { config: true, web: true, listen: true }
  const setReloadHealth = (change: Partial<typeof health>) => {
    Object.assign(health, change)
    store.updateMonitor({ lastReloadOk: health.config && health.web && health.listen })
  }
  const parseAddresses = ({ listen }: Pick<Config, 'listen'>) =>
    (deps.listen ?? listen).flatMap(address => parseListen(address) ?? [])
  const serving = await startHttpServers({
    addresses: parseAddresses(config),
    controlSocket: deps.controlSocket,
    routes,
    ...(deps.web ? { web: deps.web } : {}),
    onWebConfig: errors => setReloadHealth({ web: errors.length === 0 }),
    log,
  })
  const nix = () => active.nix
  const engine = createEngine({
    store,
    dial: deps.createDial(nix),
    run: deps.run,
    clock,
    env: deps.env,
    nix,
    traces: deps.traces,
    askLocalDaemon: deps.askLocalDaemon,
    testsFeatures: () => current.canary.features,
    checkSlots: {
      readLocks: deps.readSlotLocks,
      stuckAfterSeconds: () => current.slots.stuckAfterHours * 3600,
    },
    onConnectionLost: (builder, reason) => {
      log.debug({ builder: builder.name, reason }, 'kept connection lost')
      scheduler.runOnce('login', builder, Math.random() * 2000)
    },
  })
  let scheduler = createJobScheduler(current)
  function createJobScheduler(planned: Config): Scheduler {
    const runOnce = (
      job: JobName,
      builder: ActiveBuilders['builders'][number],
      ms: number,
    ) => scheduler.runOnce(job, builder, ms)
    const jobs = createJobs({
      engine,
      read: () => store.read(),
      config: () => current,
      now,
      runOnce,
      random: Math.random,
      askLocalDaemon: deps.askLocalDaemon,
    })
    return createScheduler(jobs, {
      cron: deps.createCron(planned.timeZone),
      random: Math.random,
      onDelay: deps.onDelay,
      onError: (job, builder, error) =>
        log.error({ job, builder: builder.name, err: error }, 'job failed'),
    })
  }

  const client = createClientMonitor({
    check: deps.checkClient,
    store,
    active: () => active,
    log,
    signal: stopping.signal,
  })
  const scheduleClientCheck = () =>
    client.schedule(deps.createCron(current.timeZone), current.schedule.client)
  let stopClientCheck = scheduleClientCheck()

  // As it was at start: a label of alerts that changed would make others of them
  const identity = instanceAddress(
    serving.addresses(),
    hostname(),
    deps.web?.first.access.tls ? 'https' : 'http',
  )
  const stops = [
    () => stopClientCheck(),
    persistState(store, deps.stateFile),
    ...deps.exporters.flatMap(one => (one.start ? [one.start(store)] : [])),
    deps.delivery.start(store),
    startAlerts({
      read: store.read,
      publish: store.setAlerts,
      samples: deps.readSamples,
      settings: () => alertSettings(current, identity),
      persistedState: {
        read: () => deps.stateFile.read('alerts'),
        write: (value, isNews) => deps.stateFile.write('alerts', value, isNews),
      },
      clock,
      log,
      ...(deps.alertForMultiplier === undefined
        ? {}
        : { forMultiplier: deps.alertForMultiplier }),
    }),
    startSelfCheck({
      store,
      clock,
      log,
      recheck: (builder, delayMs) => scheduler.runOnce('login', builder, delayMs),
    }),
  ]

  const applyBuilders = (next: ActiveBuilders) => {
    const before = store.read().builders
    active = next
    store.setBuilders(next)
    deps.traces.retain(new Set(store.read().builders.keys()))
    scheduler.setBuilders(next.builders)
    client.look()
    for (const [name, { builder }] of before)
      if (!store.read().builders.has(name)) engine.disconnect(builder)
    for (const builder of next.builders)
      if (store.read().builders.get(builder.name)?.probes.login === undefined)
        scheduler.runOnce('login', builder, 0)
    for (const problem of next.problems)
      log.warn({ ...problem }, 'problem in the builders list')
  }
  applyBuilders(active)

  let reloads: Promise<unknown> = Promise.resolve()
  const reload = (): Promise<readonly string[]> => {
    const done = reloads.then(async () => {
      store.updateMonitor({ reloading: true })
      try {
        return await reloadNow()
      } finally {
        store.updateMonitor({ reloading: false })
      }
    })
    // One after the other
    reloads = done.catch(() => undefined)
    return done
  }
  const reloadNow = async (): Promise<readonly string[]> => {
    const loaded = await deps.loadConfig()
    const errors: string[] = loaded.ok ? [] : [...loaded.errors]
    setReloadHealth({ config: loaded.ok })
    errors.push(...(await serving.reloadWeb()))
    if (loaded.ok) {
      const reschedule = scheduleChanged(current, loaded.config)
      current = loaded.config
      const unbound = await serving.rebind(parseAddresses(current))
      setReloadHealth({ listen: unbound.length === 0 })
      errors.push(...unbound)
      if (reschedule) {
        const old = scheduler
        scheduler = createJobScheduler(current)
        void old.stop()
        stopClientCheck()
        stopClientCheck = scheduleClientCheck()
        store.updateMonitor({ intervals: intervals() })
      }
    } else
      for (const error of loaded.errors)
        log.error({ error }, 'the new configuration is bad, the old one stays')
    const next = await deps.readBuilders(stopping.signal)
    applyBuilders(next)
    log.info(
      { builders: next.builders.length, problems: next.problems.length },
      'reloaded',
    )
    return errors
  }

  const stopWatching = await watchBuilders({
    active: () => active,
    read: () => deps.readBuilders(stopping.signal),
    apply: applyBuilders,
    log,
  })
  log.info(
    {
      addresses: serving.addresses(),
      builders: active.builders.length,
      source: active.source,
    },
    'started',
  )

  let stopped: Promise<void> | null = null
  const stop = async () => {
    stopping.abort(new Error('the monitor stops'))
    stopWatching()
    for (const end of stops) end()
    serving.stopReloading()
    // In this order: no new work, then no connections, then no listeners
    const orderly = (async () => {
      const planned = scheduler.stop()
      engine.close()
      await Promise.all([planned, reloads.then(() => serving.close())])
      await deps.stateFile.flush()
    })()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>(resolve => (timer = setTimeout(resolve, stopMs)))
    await Promise.race([orderly, late])
    clearTimeout(timer)
    log.info({}, 'stopped')
  }
  return {
    get addresses() {
      return serving.addresses()
    },
    store,
    reload,
    stop: () => (stopped ??= stop()),
  }
}

/** Has verdicts and the course of checks written down; a changed verdict is news. */
const persistState = (store: Store, file: StateFile): (() => void) => {
  let changes = -1
  return store.subscribe(({ builders }) => {
    const before = changes
    changes = 0
    for (const { health } of builders.values()) changes += health.changes
    file.write('builders', () => serializeBuilders(store.read()), changes !== before)
  })
}

const alertSettings = (
  { alerting }: Config,
  identity: ReturnType<typeof instanceAddress>,
): AlertSettings => ({
  ...alerting,
  instance: alerting.instance || identity.instance,
  externalUrl: (alerting.externalUrl || identity.externalUrl).replace(/\/+$/, ''),
})

const expectationFor = (config: Config, name: string): 'awake' | 'asleep' | 'drained' => {
  const exceptions = config.builders[name]
  return exceptions?.drained ? 'drained' : (exceptions?.expect ?? 'awake')
}
