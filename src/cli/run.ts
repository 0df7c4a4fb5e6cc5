import { alertRunbook } from '../alerts/runbook.ts'
import { alertRules, familiesUsedByRules } from '../alerts/rules.ts'
import {
  loadConfig,
  parseListen,
  type ConfigResult,
  type Config,
} from '../config/config.ts'
import { loadWebConfig, type WebConfig } from '../config/web/web-config.ts'
import { startDaemon, type DaemonDeps } from '../daemon/daemon.ts'
import { demoTarget } from '../demo/target.ts'
import { startDemoFleet, type DemoFleet } from '../demo/fleet.ts'
import { loadCredentials } from '../config/builders/credentials.ts'
import { createExporters } from '../exporters/index.ts'
import { describeListenError } from '../exporters/http/listen-error.ts'
import { post } from '../alerts/delivery/post.ts'
import { createAlertDelivery } from '../alerts/delivery/alert-delivery.ts'
import { createSendTestAlert } from '../alerts/delivery/send-test-alert.ts'
import { createRuleSampleCollector } from '../exporters/prometheus/rule-samples.ts'
import { notifyStatus } from '../exporters/systemd.ts'
import { createHealthLog } from '../exporters/health-log.ts'
import { createLog } from '../log/log.ts'
import type { LogFormat, LogLevel } from '../log/options.ts'
import type { ActiveBuilders, LocalNix, Run } from '../model/index.ts'
import { extractSamples } from '../probes/index.ts'
import { createCheckClient } from '../probes/client/checks.ts'
import { localSystem } from '../probes/client/local-system.ts'
import { createReadSlotLocks } from '../probes/slots/slot-locks.ts'
import { systemClock } from '../schedule/clock.ts'
import { createCronScheduler } from '../schedule/cron.ts'
import { noStateFile, openStateFile } from '../state/state-file.ts'
import { createTraces } from '../state/traces.ts'
import { createResolveSshConfigAs } from '../transport/ssh/resolve-ssh-config-as.ts'
import { createDial } from '../transport/ssh/dial.ts'
import { createAskLocalDaemon } from '../transport/local-daemon.ts'
import { createRun } from '../transport/run.ts'
import { version } from '../version.ts'
import { resolveConfigPath, resolveWebConfigPath } from './config.ts'
import { defaultControlSocket } from './control-socket.ts'
import { UsageError, wantsColor, type Io } from './terminal.ts'
import { readLocalBuilders } from './read-builders.ts'
import { validationContext } from './validation-context.ts'

/** Of each attempt that `/builders/NAME?debug` shows: 200 builders stay within a few MB. */
const maxTraceChars = 4096
const configErrorExitCode = 78 // EX_CONFIG of sysexits.h: systemd shall not restart for it

export interface RunOptions {
  readonly config: string | undefined
  readonly listen: readonly string[] | undefined
  readonly webConfigFile: string | undefined
  readonly logFormat: LogFormat | undefined
  readonly logLevel: LogLevel | undefined
  /** Runs over the simulated builders. */
  readonly demo: boolean
  /** Runs over the simulated builders if no builder is configured. */
  readonly orDemo: boolean
  /** Number of simulated builders. */
  readonly demoBuilders: string | undefined
}

/** Set only by tests of the whole program, which cannot wait five minutes for an alert. */
export type TestOverrides = Pick<DaemonDeps, 'alertForMultiplier'>

/** Runs the daemon until SIGTERM. Returns 0, 78 for an invalid configuration, 1 if it cannot start. */
export const runCommand = async (
  options: RunOptions,
  io: Io,
  overrides: TestOverrides = {},
): Promise<number> => {
  const { listen } = options
  for (const address of listen ?? [])
    if (!parseListen(address))
      throw new UsageError(`--listen ${address} is neither host:port nor unix:/path`)
  const { path, isExplicit } = resolveConfigPath(options.config, io.env)
  // The newest good one
  let effective: Config | null = null
  const load = async () => {
    const checked = await loadConfig(path, !isExplicit, validationContext)
    if (checked.ok) effective = checked.config
    return checked
  }
  const runLocal = createRun()
  const loaded = await load()
  const web = await loadWeb(resolveWebConfigPath(options.webConfigFile, io.env))
  if (!loaded.ok || web?.first.ok === false)
    return failToStart(configErrorExitCode, collectErrors(loaded, web?.first), {
      io,
      runLocal,
    })
  const log = createLog(options.logLevel ?? loaded.config.logLevel, {
    format: options.logFormat ?? loaded.config.logFormat,
    isTerminal: io.isTerminal,
    withColour: wantsColor(io.isTerminal, io.env),
    journalStream: io.env['JOURNAL_STREAM'],
  })
  const credentials = await loadCredentials(io.env)
  const { env } = credentials
  let files: readonly string[] = []
  let localNix: LocalNix = { version: null, system: '' }
  const readLocal = async (signal: AbortSignal) => {
    const active = await readLocalBuilders(runLocal, env, signal)
    files = active.files
    localNix = active.nix
    return credentials.attachCredentials(active)
  }
  const wantsDemo =
    options.demo || (options.orDemo && (await hasNoBuilders(readLocal, io.signal)))
  const fleet = wantsDemo ? await startDemoFleet(demoOptions(options.demoBuilders)) : null
  const traces = createTraces({ clock: systemClock, maxChars: maxTraceChars })
  const stateDirectory = io.env['STATE_DIRECTORY']?.split(':')[0]
  const stateFile =
    // The demo's past is nobody's
    stateDirectory && !fleet
      ? await openStateFile({ directory: stateDirectory, log })
      : noStateFile
  const delivery = createAlertDelivery({
    receivers: () => (effective ?? loaded.config).alerting,
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
    extraSamples: delivery.samples,
    collectSamples: extractSamples,
    readTraces: name => traces.read(name),
    files: () => files,
    alertRunbooks: new Map(alertRules.map(rule => [rule.name, alertRunbook(rule)])),
    config: () => effective,
    run: runLocal,
    env: io.env,
    pid: process.pid,
    monotonic: systemClock.monotonic,
  })
  const config =
    fleet && options.demoBuilders === undefined
      ? withDemoSchedule(loaded.config)
      : loaded.config
  effective = config
  const deps: DaemonDeps = {
    ...overrides,
    stateFile,
    loadConfig: load,
    readBuilders: fleet ? () => Promise.resolve(demoBuilders(fleet)) : readLocal,
    createDial: nix =>
      createDial({
        run: runLocal,
        clock: systemClock,
        env,
        nix,
        ...(fleet ? { resolve: demoTarget } : {}),
      }),
    createCron: createCronScheduler,
    exporters: [...exporters.all, createHealthLog(log)],
    delivery,
    onDelay: exporters.observeScheduleDelay,
    readSamples: createRuleSampleCollector(extractSamples, familiesUsedByRules),
    sendTestAlert: createSendTestAlert({ post, clock: systemClock }),
    run: runLocal,
    askLocalDaemon: createAskLocalDaemon(io.env),
    checkClient: createCheckClient({
      localSystem,
      env,
      askLocalDaemon: createAskLocalDaemon(io.env),
      clock: systemClock,
      resolveSshConfigAs: createResolveSshConfigAs({
        run: runLocal,
        env: io.env,
        nix: () => localNix,
      }),
    }),
    readSlotLocks: createReadSlotLocks({
      env: io.env,
      monotonic: systemClock.monotonic,
    }),
    clock: systemClock,
    env,
    log,
    traces,
    controlSocket: defaultControlSocket(io.env, process.getuid?.() ?? 0),
    // A newcomer shall see every state within 15 seconds
    ...(fleet ? { belowMinFreeSeconds: 5 } : {}),
    ...(listen ? { listen } : {}),
    ...(web?.first.ok ? { web: { first: web.first, load: web.load } } : {}),
  }
  try {
    return await keepRunning(config, deps, io, fleet)
  } finally {
    await fleet?.stop()
  }
}

const keepRunning = async (
  config: Parameters<typeof startDaemon>[0],
  deps: DaemonDeps,
  io: Io,
  fleet: DemoFleet | null,
): Promise<number> => {
  let daemon
  try {
    daemon = await startDaemon(config, deps)
  } catch (error) {
    return failToStart(1, [describeStartError(error)], { io, runLocal: deps.run })
  }
  const onHangup = () => void daemon.reload()
  process.on('SIGHUP', onHangup)
  const scheme = deps.web?.first.access.tls ? 'https' : 'http'
  const url = `${scheme}://${daemon.addresses.find(one => !one.startsWith('/'))}`
  if (fleet)
    io.err(
      `No builder is configured here, so this is a demo fleet. Look at ${url}/ and ${url}/metrics\n`,
    )
  else if (io.isTerminal) io.err(`Watching. Look at ${url}/ and ${url}/metrics\n`)
  await new Promise<void>(resolve => {
    io.signal.addEventListener('abort', () => resolve(), { once: true })
    if (io.signal.aborted) resolve()
  })
  process.off('SIGHUP', onHangup)
  await daemon.stop()
  return 0
}

const hasNoBuilders = async (
  read: (signal: AbortSignal) => Promise<ActiveBuilders>,
  signal: AbortSignal,
): Promise<boolean> => {
  const { builders, problems } = await read(signal)
  return builders.length === 0 && problems.length === 0
}

/** A quicker pace than anybody needs, to show changes. Load tests keep the configured one. */
const withDemoSchedule = (config: Config): Config => ({
  ...config,
  schedule: {
    ...config.schedule,
    login: '*/5 * * * * *',
    disk: '*/5 * * * * *',
    memory: '*/5 * * * * *',
  },
})

const demoBuilders = (fleet: DemoFleet): ActiveBuilders => ({
  source: 'demo',
  builders: fleet.builders,
  problems: [],
  files: [],
  nix: fleet.nix,
})

const demoOptions = (count: string | undefined): { count?: number } => {
  if (count === undefined) return {}
  const builderCount = Number(count)
  if (!Number.isInteger(builderCount) || builderCount < 1 || builderCount > 1000)
    throw new UsageError('--demo-builders is a number from 1 to 1000')
  return { count: builderCount }
}

const describeStartError = (error: unknown): string =>
  describeListenError(error) ??
  `cannot start: ${error instanceof Error ? error.message : String(error)}`

const loadWeb = async (path: string | null) => {
  if (path === null) return null
  const load = () => loadWebConfig(path)
  return { first: await load(), load }
}

const collectErrors = (
  ...configs: readonly (ConfigResult | WebConfig | undefined)[]
): readonly string[] => configs.flatMap(one => (one && !one.ok ? one.errors : []))

/** Says why we cannot start: to whoever reads our errors, and as the status of the unit. */
const failToStart = async (
  code: number,
  messages: readonly string[],
  { io, runLocal }: { readonly io: Io; readonly runLocal: Run },
): Promise<number> => {
  for (const message of messages) io.err(`builder-monitor: ${message}\n`)
  await notifyStatus(messages[0] ?? '', { run: runLocal, env: io.env })
  return code
}
