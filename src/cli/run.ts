import {
  loadConfig,
  parseListen,
  type Config,
  type ConfigResult,
} from '../config/config.ts'
import { loadWebConfig, type WebConfig } from '../config/web/web-config.ts'
import { createService, type Service, type ServiceOptions } from '../daemon/service.ts'
import { describeListenError } from '../exporters/http/listen-error.ts'
import { notifyStatus } from '../exporters/systemd.ts'
import { createLog } from '../log/log.ts'
import type { LogFormat, LogLevel } from '../log/options.ts'
import type { Run } from '../model/index.ts'
import { createRun } from '../transport/run.ts'
import { resolveConfigPath, resolveWebConfigPath } from './config.ts'
import { printErrors, UsageError, wantsColor, type Io } from './terminal.ts'
import { validationContext } from './validation-context.ts'

/** EX_CONFIG of sysexits.h. The systemd unit is not restarted for it. */
const configErrorExitCode = 78

export interface RunOptions {
  readonly config: string | undefined
  readonly listen: readonly string[] | undefined
  readonly webConfigFile: string | undefined
  readonly logFormat: LogFormat | undefined
  readonly logLevel: LogLevel | undefined
  /** Runs on the demo fleet. */
  readonly demo: boolean
  /** Runs on the demo fleet if no builder is configured. */
  readonly orDemo: boolean
  /** Number of builders of the demo fleet. */
  readonly demoBuilders: string | undefined
}

/** Set only by tests of the whole program, which cannot wait five minutes for an alert. */
export type TestOverrides = Pick<ServiceOptions, 'alertForMultiplier'>

/** Runs the daemon until SIGTERM. Returns 0, 78 for an invalid configuration, 1 if it cannot start. */
export const runCommand = async (
  options: RunOptions,
  io: Io,
  overrides: TestOverrides & Pick<ServiceOptions, 'earlyHold'> = {},
): Promise<number> => {
  const { listen } = options
  for (const address of listen ?? [])
    if (!parseListen(address))
      throw new UsageError(`--listen ${address} is neither host:port nor unix:/path`)
  const { path, isExplicit } = resolveConfigPath(options.config, io.env)
  const load = () => loadConfig(path, !isExplicit, validationContext)
  const run = createRun()
  const loaded = await load()
  const web = await loadWeb(resolveWebConfigPath(options.webConfigFile, io.env))
  if (!loaded.ok || web?.first.ok === false)
    return failToStart(configErrorExitCode, collectErrors(loaded, web?.first), {
      io,
      run,
    })
  const log = createLog(options.logLevel ?? loaded.config.logLevel, {
    format: options.logFormat ?? loaded.config.logFormat,
    isTerminal: io.isTerminal,
    withColor: wantsColor(io.isTerminal, io.env),
    journalStream: io.env['JOURNAL_STREAM'],
  })
  const service = await createService({
    env: io.env,
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    run,
    log,
    loadConfig: load,
    demo: options.demo ? 'always' : options.orDemo ? 'if-empty' : 'never',
    demoOptions: demoOptions(options.demoBuilders),
    signal: io.signal,
    ...overrides,
    ...(listen ? { listen } : {}),
    ...(web?.first.ok ? { web: { first: web.first, load: web.load } } : {}),
  })
  try {
    return await keepRunning(loaded.config, service, options, io)
  } finally {
    await service.stop()
  }
}

const keepRunning = async (
  config: Config,
  { start, isDemo, scheme, run }: Service,
  options: RunOptions,
  io: Io,
): Promise<number> => {
  let daemon
  try {
    daemon = await start(config)
  } catch (error) {
    return failToStart(1, [describeStartError(error)], { io, run })
  }
  const onHangup = () => void daemon.reload()
  process.on('SIGHUP', onHangup)
  const url = `${scheme}://${daemon.addresses.find(one => !one.startsWith('/'))}`
  if (isDemo)
    io.err(
      `${options.demo ? 'Started on the demo fleet' : 'No builders are configured here: started on the demo fleet'}: ${url}/ and ${url}/metrics\n`,
    )
  else if (io.isTerminal) io.err(`Started: ${url}/ and ${url}/metrics\n`)
  await new Promise<void>(resolve => {
    io.signal.addEventListener('abort', () => resolve(), { once: true })
    if (io.signal.aborted) resolve()
  })
  process.off('SIGHUP', onHangup)
  await daemon.stop()
  // A handle that survives the deadline of stop (a hung file system) must not keep the process
  setTimeout(() => process.exit(0), 1000).unref()
  return 0
}

const demoOptions = (count: string | boolean | undefined): { count?: number } => {
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

/** Prints why the daemon cannot start, on stderr and as the status of the systemd unit. */
const failToStart = async (
  code: number,
  messages: readonly string[],
  { io, run }: { readonly io: Io; readonly run: Run },
): Promise<number> => {
  printErrors(messages, io)
  await notifyStatus(messages[0] ?? '', { run, env: io.env })
  return code
}
