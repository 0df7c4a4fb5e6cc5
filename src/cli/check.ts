import { loadConfig } from '../config/config.ts'
import { validationContext } from './validation-context.ts'
import { systemClock } from '../schedule/clock.ts'
import { currentHealth } from '../diagnosis/health.ts'
import { createReport, type Report } from '../diagnosis/report.ts'
import { hostKeysByBuilder } from '../daemon/client-monitor.ts'
import { createEngine, type Engine } from '../engine/engine.ts'
import type { ActiveBuilders, Builder, ProbeName } from '../model/index.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { isReachedBySsh } from '../nix/machines/store-uri.ts'
import { createCheckClient } from '../probes/client/checks.ts'
import { localSystem } from '../probes/client/local-system.ts'
import { createReadSlotLocks } from '../probes/slots/slot-locks.ts'
import { createStore } from '../state/store.ts'
import { createTraces, noTraces, type Traces } from '../state/traces.ts'
import { createResolveSshConfigAs } from '../transport/ssh/resolve-ssh-config-as.ts'
import { createDial } from '../transport/ssh/dial.ts'
import { createAskLocalDaemon } from '../transport/local-daemon.ts'
import { createRun } from '../transport/run.ts'
import { resolveConfigPath } from './config.ts'
import { exitCodes } from './exit-codes.ts'
import { UsageError, type Io } from './terminal.ts'
import { closestMatch } from '../text/closest-match.ts'
import { readLocalBuilders } from './read-builders.ts'
import { createPaint, renderReport } from './render.ts'
import { withTraces } from './traces.ts'

export interface CheckOptions {
  readonly json: boolean
  readonly canary: boolean
  readonly canaryMode: CanaryMode | undefined
  readonly features: boolean
  readonly debug: boolean
  readonly config: string | undefined
  /** Names or store URIs; all builders if empty. */
  readonly builders: readonly string[]
}

/** Probes every selected builder once and prints the report. */
export const checkCommand = async (options: CheckOptions, io: Io): Promise<number> => {
  const { features, json } = options
  const mode = options.canaryMode ?? (features || options.canary ? 'private' : null)
  const { path, isExplicit } = resolveConfigPath(options.config, io.env)
  const loaded = await loadConfig(path, !isExplicit, validationContext)
  if (!loaded.ok && isExplicit) throw new UsageError(loaded.errors.join('\n'))
  // Users who cannot read the daemon's configuration can check with the defaults
  if (!loaded.ok) io.err(`${loaded.errors.join('\n')}\nusing defaults\n`)
  const stuckAfterHours = loaded.ok ? loaded.config.slots.stuckAfterHours : 24
  const run = createRun()
  const active = await readLocalBuilders(run, io.env, io.signal)
  const selected = selectBuilders(active, options.builders)
  const report = await checkOnce(
    active,
    {
      selected,
      mode,
      features,
      stuckAfterHours,
      traces: options.debug
        ? createTraces({ clock: systemClock, maxChars: maxTraceChars })
        : noTraces,
    },
    io,
    run,
  )
  io.out(
    json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderReport(report, createPaint(io.isTerminal, io.env))}\n`,
  )
  if (selected.length === 0 && active.problems.length === 0 && !json)
    io.err(`no builders are configured in ${active.files.join(', ')}\n`)
  return exitCodes[report.state]
}

const selectBuilders = (
  active: ActiveBuilders,
  names: readonly string[],
): readonly Builder[] => {
  if (names.length === 0) return active.builders
  return names.map(name => {
    const match = active.builders.find(b => b.name === name || b.storeUri === name)
    if (match) return match
    const all = active.builders.map(b => b.name)
    const suggestion = closestMatch(name, all)
    throw new UsageError(
      `no builder is called ${name}${suggestion ? `, did you mean ${suggestion}?` : ''} (there are: ${all.join(', ') || 'none'})`,
    )
  })
}

/** Of each attempt that `--debug` shows. */
const maxTraceChars = 128 * 1024
/** At most this many builders are looked at side by side. */
const concurrency = 16

const checkOnce = async (
  active: ActiveBuilders,
  options: {
    readonly selected: readonly Builder[]
    readonly mode: CanaryMode | null
    readonly features: boolean
    readonly stuckAfterHours: number
    readonly traces: Traces
  },
  io: Io,
  run: ReturnType<typeof createRun>,
): Promise<Report> => {
  const now = () => systemClock.now() / 1000
  const store = createStore(
    (state, { problems }) => ({
      health: currentHealth(state, now(), problems),
      changedAt: [],
    }),
    now,
    {
      startedAt: now(),
      selfCheckFailed: false,
      lastReloadOk: true,
      failuresByKind: {},
      intervals: {
        login: 0,
        trust: 0,
        system: 0,
        disk: 0,
        memory: 0,
        locks: 0,
        canary: 0,
        direct: 0,
        slots: 0,
      },
      ready: false,
    },
  )
  store.setBuilders(active)
  const nix = () => active.nix
  const dial = createDial({ run, clock: systemClock, env: io.env, nix })
  const engine = createEngine({
    store,
    dial,
    run,
    clock: systemClock,
    env: io.env,
    nix,
    traces: options.traces,
    askLocalDaemon: createAskLocalDaemon(io.env),
    testsFeatures: () => options.features,
    checkSlots: {
      readLocks: createReadSlotLocks({
        env: io.env,
        monotonic: systemClock.monotonic,
      }),
      stuckAfterSeconds: () => options.stuckAfterHours * 3600,
    },
  })
  const checkClient = createCheckClient({
    localSystem,
    env: io.env,
    askLocalDaemon: createAskLocalDaemon(io.env),
    clock: systemClock,
    resolveSshConfigAs: createResolveSshConfigAs({ run, env: io.env, nix }),
  })
  let markFinished: () => void = () => undefined
  const finished = new Promise<void>(resolve => (markFinished = resolve))
  const hostKeys = finished.then(() => hostKeysByBuilder(store.read()))
  const clientChecked = checkClient(active, io.signal, hostKeys).then(client =>
    store.setClient(client),
  )
  const queue = [...options.selected]
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift())
      await checkBuilder(engine, next, options.mode, io.signal)
  }
  await Promise.all(Array.from({ length: concurrency }, worker)).finally(markFinished)
  await clientChecked
  engine.close()
  const report = createReport(
    store.read(),
    new Set(options.selected.map(({ name }) => name)),
  )
  return withTraces(report, options.traces)
}

const telemetryProbes: readonly ProbeName[] = ['system', 'disk', 'memory', 'locks']

/** Climbs the ladder: what needs a failed rung is skipped, not red. */
const checkBuilder = async (
  engine: Engine,
  builder: Builder,
  mode: CanaryMode | null,
  signal: AbortSignal,
): Promise<void> => {
  const slots = engine.checkSlots(builder, signal)
  const isLoginOk = await engine.checkLogin(builder, signal)
  await slots
  const isRemote = isReachedBySsh(builder)
  if (engine.isConnected(builder))
    await engine.checkTelemetry(builder, telemetryProbes, signal)
  else
    engine.recordSkipped(
      builder,
      telemetryProbes,
      isRemote ? 'dependency_failed' : 'not_ssh_store',
      {
        waitsFor: 'login',
      },
    )
  if (mode === null) engine.recordSkipped(builder, ['canary'], 'not_requested')
  else if (isLoginOk || !isRemote) await engine.runCanary(builder, mode, signal)
  else
    engine.recordSkipped(builder, ['canary'], 'dependency_failed', {
      waitsFor: engine.isConnected(builder) ? 'trust' : 'login',
    })
}
