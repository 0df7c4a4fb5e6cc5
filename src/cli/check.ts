import { loadConfig } from '../config/config.ts'
import { knowledge } from './knowledge.ts'
import { systemClock } from '../schedule/clock.ts'
import { instantVerdict } from '../diagnosis/verdict.ts'
import { reportOf, type Report } from '../diagnosis/report.ts'
import { hostKeysOf } from '../client-watch.ts'
import { createEngine, type Engine } from '../engine.ts'
import type { ActiveBuilders, Builder, ProbeName } from '../model.ts'
import type { CanaryMode } from '../probes/canary-workshop.ts'
import { isReachedBySsh } from '../nix/store-uri.ts'
import { createLookAtClient } from '../probes/client/look.ts'
import { thisMachine } from '../probes/client/machine.ts'
import { createReadSlotLocks } from '../probes/slot-locks.ts'
import { createStore } from '../state/store.ts'
import { createTraces, noTraces, type Traces } from '../state/traces.ts'
import { createAskSsh } from '../transport/ask-ssh.ts'
import { createDial } from '../transport/dial.ts'
import { createAskLocalDaemon } from '../transport/local-daemon.ts'
import { createRun } from '../transport/run.ts'
import { configPath } from './config.ts'
import { exitCodes } from './exit-codes.ts'
import { UsageError, type Io } from './io.ts'
import { nearest } from '../diagnosis/nearest.ts'
import { readLocalBuilders } from './local-nix.ts'
import { parse } from './parse.ts'
import { paintFor, renderReport } from './render.ts'
import { withTraces } from './traces.ts'

/** Probes every (named) builder once. Exit 0 healthy, 1 degraded, 2 down, 3 unknown, usage or no builder. */
export const checkCommand = async (args: readonly string[], io: Io): Promise<number> => {
  const { values, positionals } = parse(args, {
    canary: { type: 'boolean' },
    'canary-mode': { type: 'string' },
    config: { type: 'string' },
    features: { type: 'boolean' },
    debug: { type: 'boolean' },
    json: { type: 'boolean' },
  })
  const features = values['features'] === true
  const mode = canaryMode(features || values['canary'] === true, values['canary-mode'])
  const { path, named } = configPath(values['config'], io.env)
  const loaded = await loadConfig(path, !named, knowledge)
  if (!loaded.ok && named) throw new UsageError(loaded.errors.join('\n'))
  // Whoever may not read the daemon's configuration shall be able to look all the same
  if (!loaded.ok) io.err(`${loaded.errors.join('\n')}\nso the defaults hold\n`)
  const stuckAfterHours = loaded.ok ? loaded.config.slots.stuckAfterHours : 24
  const run = createRun()
  const active = await readLocalBuilders(run, io.env, io.signal)
  const chosen = chooseBuilders(active, positionals)
  const report = await checkOnce(
    active,
    {
      chosen,
      mode,
      features,
      stuckAfterHours,
      traces:
        values['debug'] === true
          ? createTraces({ clock: systemClock, maxChars: traceChars })
          : noTraces,
    },
    io,
    run,
  )
  io.out(
    values['json'] === true
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderReport(report, paintFor(io.isTerminal, io.env))}\n`,
  )
  if (chosen.length === 0 && active.problems.length === 0 && values['json'] !== true)
    io.err(`no builders are configured; looked at ${active.files.join(', ')}\n`)
  return exitCodes[report.state]
}

const canaryMode = (
  asked: boolean,
  mode: string | boolean | undefined,
): CanaryMode | null => {
  if (mode === undefined) return asked ? 'private' : null
  if (mode !== 'private' && mode !== 'daemon')
    throw new UsageError('--canary-mode is private or daemon')
  return mode
}

const chooseBuilders = (
  active: ActiveBuilders,
  names: readonly string[],
): readonly Builder[] => {
  if (names.length === 0) return active.builders
  return names.map(name => {
    const found = active.builders.find(b => b.name === name || b.storeUri === name)
    if (found) return found
    const all = active.builders.map(b => b.name)
    const near = nearest(name, all)
    throw new UsageError(
      `no builder is called ${name}${near ? `, did you mean ${near}?` : ''} (there are: ${all.join(', ') || 'none'})`,
    )
  })
}

/** Of each attempt that `--debug` shows. */
const traceChars = 128 * 1024
/** At most this many builders are looked at side by side. */
const width = 16

const checkOnce = async (
  active: ActiveBuilders,
  plan: {
    readonly chosen: readonly Builder[]
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
      verdict: instantVerdict(state, now(), problems),
      changedAt: [],
    }),
    now,
    {
      startedAt: now(),
      suspect: false,
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
  store.configure(active)
  const nix = () => active.nix
  const dial = createDial({ run, clock: systemClock, env: io.env, nix })
  const engine = createEngine({
    store,
    dial,
    run,
    clock: systemClock,
    env: io.env,
    nix,
    traces: plan.traces,
    askLocalDaemon: createAskLocalDaemon(io.env),
    provesFeatures: () => plan.features,
    slots: {
      readLocks: createReadSlotLocks({
        env: io.env,
        monotonic: systemClock.monotonic,
      }),
      stuckAfterSeconds: () => plan.stuckAfterHours * 3600,
    },
  })
  const look = createLookAtClient({
    machine: thisMachine,
    env: io.env,
    askLocalDaemon: createAskLocalDaemon(io.env),
    clock: systemClock,
    askSsh: createAskSsh({ run, env: io.env, nix }),
  })
  let finish: () => void = () => undefined
  const finished = new Promise<void>(resolve => (finish = resolve))
  const hostKeys = finished.then(() => hostKeysOf(store.read()))
  const looked = look(active, io.signal, hostKeys).then(client => store.client(client))
  const waiting = [...plan.chosen]
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift())
      await checkBuilder(engine, next, plan.mode, io.signal)
  }
  await Promise.all(Array.from({ length: width }, worker)).finally(finish)
  await looked
  engine.close()
  const report = reportOf(store.read(), new Set(plan.chosen.map(({ name }) => name)))
  return withTraces(report, plan.traces)
}

const telemetry: readonly ProbeName[] = ['system', 'disk', 'memory', 'locks']

/** Climbs the ladder: what needs a failed rung is skipped, not red. */
const checkBuilder = async (
  engine: Engine,
  builder: Builder,
  mode: CanaryMode | null,
  signal: AbortSignal,
): Promise<void> => {
  const slots = engine.slots(builder, signal)
  const answers = await engine.login(builder, signal)
  await slots
  const isRemote = isReachedBySsh(builder)
  if (engine.isConnected(builder)) await engine.telemetry(builder, telemetry, signal)
  else
    engine.skip(builder, telemetry, isRemote ? 'not_tried' : 'not_remote', {
      waitsFor: 'login',
    })
  if (mode === null) engine.skip(builder, ['canary'], 'not_asked')
  else if (answers || !isRemote) await engine.prove(builder, mode, signal)
  else
    engine.skip(builder, ['canary'], 'not_tried', {
      waitsFor: engine.isConnected(builder) ? 'trust' : 'login',
    })
}
