import { hostname } from 'node:os'
import { instanceAddress } from '../alerts/instance-address.ts'
import { startAlerts } from '../alerts/start.ts'
import type { AlertDelivery } from '../alerts/delivery/alert-delivery.ts'
import type { SendTestAlert } from '../alerts/delivery/send-test-alert.ts'
import { createTestAlert } from '../alerts/test-alert.ts'
import type { Config, ConfigResult } from '../config/config.ts'
import { configWarnings } from '../config/quarantine.ts'
import { reloadRoute, testAlertRoute } from '../exporters/api/admin.ts'
import type { Exporter } from '../exporters/exporter.ts'
import { drainRoutes } from '../exporters/api/drain.ts'
import type { Route } from '../exporters/http/route.ts'
import type { ActiveBuilders, Run, Sample, Snapshot } from '../model/index.ts'
import type { Store } from '../state/store.ts'
import { createClientMonitor } from './client-monitor.ts'
import {
  alertSettings,
  allowedHosts,
  createEffectiveConfig,
  parseAddresses,
  unknownBuilderNames,
  type DaemonIdentity,
  type EffectiveConfig,
} from './context.ts'
import { createDaemonMonitor, type DaemonMonitorDeps } from './daemon-monitor.ts'
import { startHttpServers, type HttpServersDeps } from './http-servers.ts'
import { persistState } from './persist-state.ts'
import { createQuarantine, type QuarantineDeps } from './quarantine.ts'
import { createReload, trackReloadStatus } from './reload.ts'
import { startSchedules, type Schedules, type SchedulesDeps } from './schedules.ts'
import { startSelfCheck } from './self-check.ts'
import { createBuildersWatch } from './watch-builders.ts'
import { withinDeadline } from './within-deadline.ts'

export interface DaemonDeps extends Omit<
  DaemonMonitorDeps,
  'config' | 'onConnectionLost' | 'isOurSlot'
> {
  readonly createHolder: QuarantineDeps['createHolder']
  readonly run: Run
  /** Loads our configuration. */
  readonly loadConfig: () => Promise<ConfigResult>
  readonly readBuilders: (signal: AbortSignal) => Promise<ActiveBuilders>
  /** Creates everything that reports the state. `config` returns the effective configuration. */
  readonly createOutputs: (
    config: () => Config,
    /** Returns for how many seconds logins have made no progress. Not to be called before the start. */
    loginLagSeconds: () => number,
  ) => DaemonOutputs
  /** Path of the control socket, null for none. */
  readonly controlSocket: string | null
  /** Returns the samples that alert rules read, at a Unix time. */
  readonly readSamples: (snapshot: Snapshot, now: number) => readonly Sample[]
  /** Multiplies the `for` of each alert, for tests. 1 by default. */
  readonly alertForMultiplier?: number
  readonly sendTestAlert: SendTestAlert
  /** Replaces the configured addresses (`--listen`). */
  readonly listen?: readonly string[]
  /** The web configuration file. Without one, reading requires no login. */
  readonly web?: NonNullable<HttpServersDeps['web']>
}

export interface DaemonOutputs {
  readonly exporters: readonly Exporter[]
  readonly delivery: Pick<AlertDelivery, 'start'>
  /** Called at the start of each job with its delay in seconds. */
  readonly onDelay: SchedulesDeps['onDelay']
}

export interface Daemon {
  /** The addresses that are served. */
  readonly addresses: readonly string[]
  readonly store: Store
  /** Reloads everything. What is invalid keeps its previous state. Resolves with all errors, never rejects. */
  reload(): Promise<readonly string[]>
  /** Stops everything within 5 seconds. */
  stop(): Promise<void>
}

const stopTimeoutMs = 4500

/** Starts the daemon with a valid configuration. Rejects when an address cannot be bound. */
export const startDaemon = async (initial: Config, deps: DaemonDeps): Promise<Daemon> => {
  const { log } = deps
  const stopping = new AbortController()
  const config = createEffectiveConfig(initial)
  const monitor = createDaemonMonitor({
    ...deps,
    config: config.read,
    onConnectionLost: builder =>
      schedules.runOnce('login', builder, Math.random() * 2000),
    isOurSlot: file => outOfService.isOurs(file),
  })
  const { store } = monitor
  const outOfService = createQuarantine({
    ...deps,
    monitor,
    config: config.read,
    recheck: builder => schedules.runOnce('login', builder, 0),
  })
  const outputs = deps.createOutputs(config.read, () => schedules.loginLagSeconds())
  const reloadStatus = trackReloadStatus(store)
  const builders = createBuildersWatch({
    read: () => deps.readBuilders(stopping.signal),
    apply: active => {
      monitor.setBuilders(active)
      schedules.setBuilders(active.builders)
      client.check()
      for (const problem of active.problems)
        log.warn({ ...problem }, 'error in the builders list')
      for (const error of unknownBuilderNames(config.read(), active.builders))
        log.warn({ error }, 'setting without effect')
      for (const warning of configWarnings(config.read()))
        log.warn({ warning }, 'warning about the configuration')
    },
    log,
  })
  // Before anything is served: an empty list would be reported as the truth
  const { source, builders: list } = await builders.load()
  // Addresses are bound before anything is started, so that nothing has to be undone when one is in use
  const http = await startHttpServers({
    addresses: parseAddresses(deps.listen ?? initial.listen),
    controlSocket: deps.controlSocket,
    routes: [
      ...outputs.exporters.flatMap(exporter => exporter.routes?.(store) ?? []),
      reloadRoute(() => reload.reload()),
      ...drainRoutes(outOfService),
      createTestAlertRoute(deps, config, () => identity, stopping.signal),
    ],
    allowedHosts: () => {
      const { listen } = config.read()
      return allowedHosts({ ...config.read(), listen: deps.listen ?? listen })
    },
    ...(deps.web ? { web: deps.web } : {}),
    onWebConfig: errors => reloadStatus.set({ web: errors.length === 0 }),
    log,
  })
  const scheme = deps.web?.first.access.tls ? 'https' : 'http'
  const identity = instanceAddress(http.addresses(), hostname(), scheme)
  const client = createClientMonitor({ monitor, log, signal: stopping.signal })
  const schedules = startSchedules({
    ...deps,
    config,
    monitor,
    client,
    onDelay: outputs.onDelay,
  })
  const reload = createReload({
    ...deps,
    http,
    store,
    applyConfig: schedules.apply,
    reloadBuilders: builders.reload,
    setStatus: reloadStatus.set,
  })
  builders.applyLoaded()
  builders.start()
  outOfService.start()
  const stopListeners = startListeners(deps, {
    config,
    store,
    outputs,
    schedules,
    identity,
  })
  log.info({ addresses: http.addresses(), builders: list.length, source }, 'started')

  let stopped: Promise<void> | null = null
  const stop = async () => {
    stopping.abort(new Error('the monitor is stopping'))
    builders.stop()
    stopListeners()
    http.stopReloading()
    await withinDeadline(stopTimeoutMs, async () => {
      // In this order: no new work, then no connections, then no listening sockets
      const idle = schedules.stop()
      monitor.close()
      await Promise.all([idle, reload.stop()])
      await http.close()
      await deps.stateFile.flush()
    })
    // Last, because a restart must not interrupt drains for long
    outOfService.stop()
    log.info({}, 'stopped')
  }
  return {
    get addresses() {
      return http.addresses()
    },
    store,
    reload: reload.reload,
    stop: () => (stopped ??= stop()),
  }
}

interface Parts {
  readonly config: EffectiveConfig
  readonly store: Store
  readonly outputs: DaemonOutputs
  readonly schedules: Schedules
  readonly identity: DaemonIdentity
}

/** Starts everything that follows the snapshots. Returns a function that stops it. */
const startListeners = (
  deps: DaemonDeps,
  { config, store, outputs, schedules, identity }: Parts,
): (() => void) => {
  const { stateFile, clock, log, alertForMultiplier } = deps
  const stops = [
    persistState(store, stateFile),
    ...outputs.exporters.flatMap(exporter => exporter.start?.(store) ?? []),
    outputs.delivery.start(store),
    startAlerts({
      read: store.read,
      publish: store.setAlerts,
      samples: deps.readSamples,
      settings: () => alertSettings(config.read(), identity),
      persistedState: {
        read: () => stateFile.read('alerts'),
        write: (value, isUrgent) => stateFile.write('alerts', value, isUrgent),
      },
      clock,
      log,
      ...(alertForMultiplier === undefined ? {} : { forMultiplier: alertForMultiplier }),
    }),
    startSelfCheck({
      store,
      clock,
      log,
      recheck: (builder, delayMs) => schedules.runOnce('login', builder, delayMs),
    }),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

const createTestAlertRoute = (
  { clock, sendTestAlert }: DaemonDeps,
  config: EffectiveConfig,
  identity: () => DaemonIdentity,
  signal: AbortSignal,
): Route =>
  testAlertRoute(() => {
    const settings = alertSettings(config.read(), identity())
    const alert = createTestAlert(settings, clock.now() / 1000)
    return sendTestAlert(config.read().alerting, alert, settings.externalUrl, signal)
  })
