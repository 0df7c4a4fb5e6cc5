import { alertPage } from '../alerts/files.ts'
import { alertRules, familiesOfRules } from '../alerts/rules.ts'
import { loadConfig, parseListen, type Checked, type Config } from '../config/config.ts'
import { loadWebConfig, type WebConfig } from '../config/web-config.ts'
import { startDaemon, type DaemonDeps } from '../daemon.ts'
import { demoTarget } from '../demo/target.ts'
import { startDemoFleet, type DemoFleet } from '../demo/fleet.ts'
import { takeCredentials } from '../config/credentials.ts'
import { createExporters } from '../exporters/index.ts'
import { listenFault } from '../exporters/http/listen-fault.ts'
import { post } from '../exporters/notify/post.ts'
import { createTellOnce } from '../exporters/notify/tell-once.ts'
import { createReadSamples } from '../exporters/metrics/read-samples.ts'
import { tellStatus } from '../exporters/systemd.ts'
import { createVerdictLog } from '../exporters/verdict-log.ts'
import { createLog, logFormats, logLevels } from '../log.ts'
import type { ActiveBuilders, LocalNix, Run } from '../model.ts'
import { samplesOf } from '../probes/index.ts'
import { createLookAtClient } from '../probes/client/look.ts'
import { thisMachine } from '../probes/client/machine.ts'
import { createReadSlotLocks } from '../probes/slot-locks.ts'
import { systemClock } from '../schedule/clock.ts'
import { createTimetable } from '../schedule/timetable.ts'
import { noStateFile, openStateFile } from '../state/state-file.ts'
import { createTraces } from '../state/traces.ts'
import { createAskSsh } from '../transport/ask-ssh.ts'
import { createDial } from '../transport/dial.ts'
import { createAskLocalDaemon } from '../transport/local-daemon.ts'
import { createRun } from '../transport/run.ts'
import { version } from '../version.ts'
import { configPath, webConfigPath } from './config.ts'
import { controlSocketPath } from './control-socket.ts'
import { UsageError, wantsColour, type Io } from './io.ts'
import { readLocalBuilders } from './local-nix.ts'
import { knowledge } from './knowledge.ts'
import { parse } from './parse.ts'

/** Of each attempt that `/builders/NAME?debug` shows: 200 builders stay within a few MB. */
const traceChars = 4096
const badConfiguration = 78 // EX_CONFIG of sysexits.h: systemd shall not restart for it

/** `run`: the daemon, until SIGTERM. Exit 0, 78 for a bad configuration, 1 where it cannot start. */
export const runCommand = (
  args: readonly string[],
  io: Io,
  rare: RareDeps = {},
): Promise<number> => run(args, io, false, rare)

/** `demo`: the daemon over the embedded fleet. */
export const demoCommand = (args: readonly string[], io: Io): Promise<number> =>
  run(args, io, true, {})

/** What only tests of the whole program set: they have no five minutes to wait for an alert. */
export type RareDeps = Pick<DaemonDeps, 'alertPatience'>

const run = async (
  args: readonly string[],
  io: Io,
  demo: boolean,
  rare: RareDeps,
): Promise<number> => {
  const { values, lists } = parse(args, {
    config: { type: 'string' },
    listen: { type: 'string' },
    'log-format': { type: 'string' },
    'web.config.file': { type: 'string' },
    'log-level': { type: 'string' },
    'or-demo': { type: 'boolean' },
    'demo-builders': { type: 'string' },
  })
  const level = oneOf('--log-level', values['log-level'], logLevels)
  const format = oneOf('--log-format', values['log-format'], logFormats)
  const listen = lists['listen']
  for (const address of listen ?? [])
    if (!parseListen(address))
      throw new UsageError(`--listen ${address} is neither host:port nor unix:/path`)
  const { path, named } = configPath(values['config'], io.env)
  // The newest good one
  let effective: Config | null = null
  const load = async () => {
    const checked = await loadConfig(path, !named, knowledge)
    if (checked.ok) effective = checked.config
    return checked
  }
  const runLocal = createRun()
  const loaded = await load()
  const web = await loadWeb(webConfigPath(values['web.config.file'], io.env))
  if (!loaded.ok || web?.first.ok === false)
    return fail(badConfiguration, faultsOf(loaded, web?.first), { io, runLocal })
  const log = createLog(level ?? loaded.config.logLevel, {
    format: format ?? loaded.config.logFormat,
    isTerminal: io.isTerminal,
    withColour: wantsColour(io.isTerminal, io.env),
    journalStream: io.env['JOURNAL_STREAM'],
  })
  const credentials = await takeCredentials(io.env)
  const { env } = credentials
  let files: readonly string[] = []
  let localNix: LocalNix = { version: null, system: '' }
  const readLocal = async (signal: AbortSignal) => {
    const active = await readLocalBuilders(runLocal, env, signal)
    files = active.files
    localNix = active.nix
    return credentials.give(active)
  }
  const wantsDemo =
    demo ||
    (values['or-demo'] === true && (await isWithoutBuilders(readLocal, io.signal)))
  const fleet = wantsDemo
    ? await startDemoFleet(demoOptions(values['demo-builders']))
    : null
  const traces = createTraces({ clock: systemClock, maxChars: traceChars })
  const stateDirectory = io.env['STATE_DIRECTORY']?.split(':')[0]
  const stateFile =
    // The demo's past is nobody's
    stateDirectory && !fleet
      ? await openStateFile({ directory: stateDirectory, log })
      : noStateFile
  const exporters = createExporters({
    version,
    samplesOf,
    tracesOf: name => traces.read(name),
    files: () => files,
    alertRunbooks: new Map(alertRules.map(rule => [rule.name, alertPage(rule)])),
    config: () => effective,
    run: runLocal,
    env: io.env,
    pid: process.pid,
    monotonic: systemClock.monotonic,
    receivers: () => (effective ?? loaded.config).alerting,
    memory: section => ({
      read: () => stateFile.read(section),
      write: value => stateFile.write(section, value, true),
      flush: stateFile.flush,
    }),
    post,
    clock: systemClock,
    log,
    random: Math.random,
  })
  const config =
    fleet && values['demo-builders'] === undefined
      ? demoPace(loaded.config)
      : loaded.config
  effective = config
  const deps: DaemonDeps = {
    ...rare,
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
    createTimetable,
    exporters: [...exporters.all, createVerdictLog(log)],
    onLate: exporters.observeLateness,
    readSamples: createReadSamples(samplesOf, familiesOfRules),
    tellOnce: createTellOnce({ post, clock: systemClock }),
    run: runLocal,
    askLocalDaemon: createAskLocalDaemon(io.env),
    lookAtClient: createLookAtClient({
      machine: thisMachine,
      env,
      askLocalDaemon: createAskLocalDaemon(io.env),
      clock: systemClock,
      askSsh: createAskSsh({ run: runLocal, env: io.env, nix: () => localNix }),
    }),
    readSlotLocks: createReadSlotLocks({
      env: io.env,
      monotonic: systemClock.monotonic,
    }),
    clock: systemClock,
    env,
    log,
    traces,
    controlSocket: controlSocketPath(io.env, process.getuid?.() ?? 0),
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
    return fail(1, [cannotStart(error)], { io, runLocal: deps.run })
  }
  const hangup = () => void daemon.reload()
  process.on('SIGHUP', hangup)
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
  process.off('SIGHUP', hangup)
  await daemon.stop()
  return 0
}

const oneOf = <T extends string>(
  name: string,
  option: string | boolean | undefined,
  words: readonly T[],
): T | null => {
  if (option === undefined) return null
  const word = words.find(one => one === option)
  if (!word) throw new UsageError(`${name} is one of ${words.join(', ')}`)
  return word
}

const isWithoutBuilders = async (
  read: (signal: AbortSignal) => Promise<ActiveBuilders>,
  signal: AbortSignal,
): Promise<boolean> => {
  const { builders, problems } = await read(signal)
  return builders.length === 0 && problems.length === 0
}

/** A quicker pace than anybody needs, to show changes. Load tests keep the configured one. */
const demoPace = (config: Config): Config => ({
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

const demoOptions = (count: string | boolean | undefined): { count?: number } => {
  if (count === undefined) return {}
  const number = Number(count)
  if (!Number.isInteger(number) || number < 1 || number > 1000)
    throw new UsageError('--demo-builders is a number from 1 to 1000')
  return { count: number }
}

const cannotStart = (error: unknown): string =>
  listenFault(error) ??
  `cannot start: ${error instanceof Error ? error.message : String(error)}`

const loadWeb = async (path: string | null) => {
  if (path === null) return null
  const load = () => loadWebConfig(path)
  return { first: await load(), load }
}

const faultsOf = (
  ...configs: readonly (Checked | WebConfig | undefined)[]
): readonly string[] => configs.flatMap(one => (one && !one.ok ? one.errors : []))

/** Says why we cannot start: to whoever reads our errors, and as the status of the unit. */
const fail = async (
  code: number,
  sentences: readonly string[],
  { io, runLocal }: { readonly io: Io; readonly runLocal: Run },
): Promise<number> => {
  for (const sentence of sentences) io.err(`builder-monitor: ${sentence}\n`)
  await tellStatus(sentences[0] ?? '', { run: runLocal, env: io.env })
  return code
}
