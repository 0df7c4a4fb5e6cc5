import type { Config } from '../config/config.ts'
import { nextHealth } from '../diagnosis/health.ts'
import { createMonitor, type Monitor, type MonitorDeps } from '../engine/monitor.ts'
import type { Log } from '../log/log.ts'
import type { MonitorPorts, SystemPortsDeps } from '../engine/system-ports.ts'
import type { Clock, CronScheduler, LocalNix } from '../model/index.ts'
import { probeIntervals } from '../schedule/intervals.ts'
import { parseBuilders } from '../state/persisted-builders.ts'
import type { StateFile } from '../state/state-file.ts'
import type { Traces } from '../state/traces.ts'
import { defaultKeepalive, type Keepalive } from '../transport/ssh/ssh2.ts'
import { expectationFor, minMiBPerSecond } from './context.ts'

export interface DaemonMonitorDeps extends Pick<
  MonitorDeps,
  'env' | 'onConnectionLost' | 'isOurSlot'
> {
  readonly createPorts: (
    nix: () => LocalNix,
    keepalive: NonNullable<SystemPortsDeps['keepalive']>,
  ) => MonitorPorts
  /** Returns the effective configuration. */
  readonly config: () => Config
  readonly createCron: (timeZone: string) => CronScheduler
  readonly clock: Clock
  readonly log: Log
  readonly traces: Traces
  readonly stateFile: StateFile
  /** How long a builder may be below min-free before it is degraded, seconds. An hour by default. */
  readonly belowMinFreeSeconds?: number
}

/** Creates the monitor of the daemon: health is debounced, and states survive a restart. */
export const createDaemonMonitor = (deps: DaemonMonitorDeps): Monitor => {
  const { config, clock, log, stateFile, belowMinFreeSeconds = 3600 } = deps
  const monitor = createMonitor({
    createPorts: nix => deps.createPorts(nix, () => keepaliveOf(config())),
    env: deps.env,
    ...(deps.isOurSlot ? { isOurSlot: deps.isOurSlot } : {}),
    traces: deps.traces,
    testsFeatures: () => config().canary.features,
    stuckAfterSeconds: () => config().slots.stuckAfterHours * 3600,
    minBytesPerSecond: ({ name }) => minMiBPerSecond(config(), name) * 1024 ** 2,
    onConnectionLost: (builder, reason) => {
      log.debug({ builder: builder.name, reason }, 'kept connection lost')
      deps.onConnectionLost?.(builder, reason)
    },
    onListenerError: error => log.error({ err: error }, 'a snapshot listener failed'),
    health: {
      evaluateHealth: (state, { monitor, problems }) =>
        nextHealth(state, {
          now: clock.now() / 1000,
          selfCheckFailed: monitor.selfCheckFailed,
          intervals: monitor.intervals,
          problems,
          expect: expectationFor(config(), state.builder.name),
          belowMinFreeSeconds,
        }),
      intervals: intervalsFor(config(), deps.createCron),
      persisted: parseBuilders(stateFile.read('builders')),
    },
  })
  stateFile.watch(stateFileOk => monitor.store.updateMonitor({ stateFileOk }))
  return monitor
}

/** Returns the interval of each probe under a configuration, seconds. */
export const intervalsFor = (
  { schedule, timeZone }: Config,
  createCron: DaemonMonitorDeps['createCron'],
) => probeIntervals(schedule, createCron(timeZone))

/** With quarantine a lost connection is noticed within seconds, because builds must not meet it first. */
const keepaliveOf = ({ quarantine: { enable, keepaliveSeconds } }: Config): Keepalive =>
  enable ? { intervalMs: keepaliveSeconds * 1000, countMax: 2 } : defaultKeepalive
