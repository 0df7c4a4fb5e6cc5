import { createAlertDelivery } from '../alerts/delivery/alert-delivery.ts'
import { post } from '../alerts/delivery/post.ts'
import { createSendTestAlert } from '../alerts/delivery/send-test-alert.ts'
import { alertRunbook } from '../alerts/runbook.ts'
import { alertRules, familiesUsedByRules } from '../alerts/rules.ts'
import { loadCredentials } from '../config/builders/credentials.ts'
import type { Config } from '../config/config.ts'
import {
  demoBuilders,
  startDemoFleet,
  withDemoSchedule,
  type DemoFleet,
} from '../demo/fleet.ts'
import { demoTarget } from '../demo/target.ts'
import { readLocalBuilders } from '../engine/local-builders.ts'
import { createSystemPorts } from '../engine/system-ports.ts'
import { createHealthLog } from '../exporters/health-log.ts'
import { createExporters } from '../exporters/index.ts'
import { createRuleSampleCollector } from '../exporters/prometheus/rule-samples.ts'
import type { ActiveBuilders, Run } from '../model/index.ts'
import { extractSamples } from '../probes/index.ts'
import { currentLoadDirectory } from '../quarantine/holder/current-load.ts'
import { createDemoHolder } from '../quarantine/holder/demo-holder.ts'
import type { EarlyHold } from '../quarantine/holder/early-hold.ts'
import { createHolderClient } from '../quarantine/holder/holder-client.ts'
import { systemClock } from '../schedule/clock.ts'
import { createCronScheduler } from '../schedule/cron.ts'
import { noStateFile, openStateFile, type StateFile } from '../state/state-file.ts'
import { createTraces, type Traces } from '../state/traces.ts'
import { version } from '../version.ts'
import { defaultControlSocket } from './control-socket.ts'
import {
  startDaemon,
  type Daemon,
  type DaemonDeps,
  type DaemonOutputs,
} from './daemon.ts'

export interface ServiceOptions extends Pick<
  DaemonDeps,
  'loadConfig' | 'log' | 'listen' | 'web' | 'alertForMultiplier'
> {
  /** The environment of this process. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly pid: number
  readonly uid: number
  readonly run: Run
  /** Whether the embedded fleet is used: `if-empty` when no builder is configured. */
  readonly demo: 'always' | 'if-empty' | 'never'
  /** `count`: number of demo builders, for load tests, which also keep the configured schedule. */
  readonly demoOptions: { readonly count?: number }
  /** A connection to the slot holder that exists already. */
  readonly earlyHold?: EarlyHold | null
  readonly signal: AbortSignal
}

/** The daemon of this machine, ready to start. */
export interface Service {
  readonly isDemo: boolean
  readonly scheme: 'http' | 'https'
  readonly run: Run
  start(config: Config): Promise<Daemon>
  /** Stops the demo fleet, if there is one. */
  stop(): Promise<void>
}

/** Attempts are traced up to this size. 200 builders need a few MB. */
const maxTraceChars = 4096
/** Degraded for low space after this time in the demo, which shows every state within 15 seconds. */
const demoBelowMinFreeSeconds = 5

/** Connects the daemon to the real system: files, processes, ssh, HTTP. */
export const createService = async (options: ServiceOptions): Promise<Service> => {
  const { env, run, log, signal } = options
  const credentials = await loadCredentials(env)
  let files: readonly string[] = []
  const readLocal = async (signal: AbortSignal): Promise<ActiveBuilders> => {
    const active = await readLocalBuilders(run, credentials.env, signal)
    files = active.files
    return credentials.attachCredentials(active)
  }
  const fleet = await startFleetIfWanted(options, () => readLocal(signal))
  const adjust =
    fleet && options.demoOptions.count === undefined
      ? withDemoSchedule
      : (config: Config) => config
  const stateDirectory = env['STATE_DIRECTORY']?.split(':')[0]
  const stateFile =
    stateDirectory && !fleet
      ? await openStateFile({ directory: stateDirectory, log })
      : noStateFile
  const traces = createTraces({ clock: systemClock, maxChars: maxTraceChars })
  const directory = await currentLoadDirectory(env)
  const deps: DaemonDeps = {
    ...options,
    createHolder: (socketPath, onChange) => {
      if (!fleet && options.earlyHold?.socketPath === socketPath)
        return options.earlyHold.take(onChange)
      options.earlyHold?.close()
      return fleet
        ? createDemoHolder(onChange)
        : createHolderClient({ socketPath, directory, pid: options.pid, onChange })
    },
    loadConfig: async () => {
      const loaded = await options.loadConfig()
      return loaded.ok ? { ...loaded, config: adjust(loaded.config) } : loaded
    },
    readBuilders: fleet ? () => Promise.resolve(demoBuilders(fleet)) : readLocal,
    createPorts: (nix, keepalive) =>
      createSystemPorts({
        run,
        keepalive,
        clock: systemClock,
        env,
        sshEnv: credentials.env,
        nix,
        ...(fleet ? { resolve: demoTarget } : {}),
      }),
    createCron: createCronScheduler,
    createOutputs: (config, loginLagSeconds) =>
      createOutputs(config, options, {
        stateFile,
        traces,
        files: () => files,
        loginLagSeconds,
      }),
    readSamples: createRuleSampleCollector(extractSamples, familiesUsedByRules),
    sendTestAlert: createSendTestAlert({ post, clock: systemClock }),
    clock: systemClock,
    env: credentials.env,
    stateFile,
    traces,
    controlSocket: defaultControlSocket(env, options.uid),
    ...(fleet ? { belowMinFreeSeconds: demoBelowMinFreeSeconds } : {}),
  }
  return {
    isDemo: fleet !== null,
    scheme: options.web?.first.access.tls ? 'https' : 'http',
    run,
    start: config => startDaemon(adjust(config), deps),
    stop: async () => fleet?.stop(),
  }
}

const startFleetIfWanted = async (
  { demo, demoOptions }: ServiceOptions,
  readLocal: () => Promise<ActiveBuilders>,
): Promise<DemoFleet | null> => {
  if (demo === 'never') return null
  if (demo === 'if-empty') {
    const { builders, problems } = await readLocal()
    if (builders.length > 0 || problems.length > 0) return null
  }
  return startDemoFleet(demoOptions)
}

/** Creates everything that reports the state: exporters, alert delivery and the log. */
const createOutputs = (
  config: () => Config,
  { run, env, pid, log }: ServiceOptions,
  parts: {
    readonly stateFile: StateFile
    readonly traces: Traces
    /** Files of the builders list. */
    readonly files: () => readonly string[]
    readonly loginLagSeconds: () => number
  },
): DaemonOutputs => {
  const { stateFile, traces, files, loginLagSeconds } = parts
  const delivery = createAlertDelivery({
    receivers: () => config().alerting,
    persistedState: section => ({
      read: () => stateFile.read(section),
      write: value => stateFile.write(section, value, true),
      flush: stateFile.flush,
    }),
    post,
    clock: systemClock,
    log,
    random: Math.random,
  })
  const exporters = createExporters({
    version,
    collectSamples: extractSamples,
    extraSamples: delivery.samples,
    readTraces: name => traces.read(name),
    files,
    alertRunbooks: new Map(alertRules.map(rule => [rule.name, alertRunbook(rule)])),
    config,
    run,
    env,
    pid,
    loginLagSeconds,
  })
  return {
    exporters: [...exporters.all, createHealthLog(log)],
    delivery,
    onDelay: exporters.observeScheduleDelay,
  }
}
