import { hostname } from 'node:os'
import { reloadRoute, testAlertRoute, type TellOnce } from './actions.ts'
import type { AlertSettings } from './alerts/settings.ts'
import { startAlerts } from './alerts/start.ts'
import { testAlert } from './alerts/test-alert.ts'
import { whereabouts } from './alerts/whereabouts.ts'
import { watchBuilders } from './builders-watch.ts'
import { createClientWatch } from './client-watch.ts'
import type { Config } from './config/config.ts'
import { parseListen } from './config/config.ts'
import { nextVerdict } from './diagnosis/verdict.ts'
import { createEngine, type EngineDeps } from './engine.ts'
import type { Exporter, Route } from './exporters/exporter.ts'
import { intervalsOf, isOtherSchedule } from './intervals.ts'
import { createJobs, type JobName } from './jobs.ts'
import type { Log } from './log.ts'
import type {
  ActiveBuilders,
  Clock,
  Dial,
  LocalNix,
  Run,
  Sample,
  Snapshot,
  Timetable,
} from './model.ts'
import type { LookAtClient } from './probes/client/look.ts'
import { levelsOf } from './probes/index.ts'
import type { ReadSlotLocks } from './probes/slot-locks.ts'
import { createPlanner, type Planner } from './schedule/planner.ts'
import { recall, remember } from './state/memory.ts'
import type { StateFile } from './state/state-file.ts'
import { createStore, type Store } from './state/store.ts'
import type { Traces } from './state/traces.ts'
import { startSelfDoubt } from './self-doubt.ts'
import { startServing, type ServingDeps } from './serving.ts'

export interface DaemonDeps {
  /** Reads our configuration; sentences where it is bad. */
  readonly loadConfig: () => Promise<
    | { readonly ok: true; readonly config: Config }
    | { readonly ok: false; readonly errors: readonly string[] }
  >
  readonly readBuilders: (signal: AbortSignal) => Promise<ActiveBuilders>
  readonly createDial: (nix: () => LocalNix) => Dial
  readonly createTimetable: (timeZone: string) => Timetable
  readonly exporters: readonly Exporter[]
  /** How late a job began, for the histogram. */
  readonly onLate: (job: string, seconds: number) => void
  readonly run: Run
  readonly askLocalDaemon: EngineDeps['askLocalDaemon']
  readonly readSlotLocks: ReadSlotLocks
  readonly lookAtClient: LookAtClient
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
  readonly alertPatience?: number
  /** Tells every receiver one alert, for `alert test`. */
  readonly tellOnce: TellOnce
  /** Replaces the configured addresses (tests, `--listen`). */
  readonly listen?: readonly string[]
  /** The web configuration file; without one, everybody may read. */
  readonly web?: NonNullable<ServingDeps['web']>
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

  const intervals = () => intervalsOf(current, deps.createTimetable(current.timeZone))
  const store = createStore(
    (state, { monitor, problems }) =>
      nextVerdict(state, {
        now: now(),
        hold: monitor.suspect,
        intervals: monitor.intervals,
        problems,
        expect: expectation(current, state.builder.name),
        belowMinFreeSeconds: deps.belowMinFreeSeconds ?? 3600,
      }),
    now,
    {
      startedAt: now(),
      suspect: false,
      lastReloadOk: true,
      failuresByKind: {},
      intervals: intervals(),
      ready: false,
    },
    recall(deps.stateFile.read('builders')),
    levelsOf,
  )
  deps.stateFile.watch(stateFileOk => store.monitor({ stateFileOk }))
  // First, so that nothing has to be undone where the address is taken
  const routes: Route[] = deps.exporters.flatMap(one => one.routes?.(store) ?? [])
  routes.push(
    reloadRoute(() => reload()),
    testAlertRoute(() => {
      const settings = alertSettings(current, here)
      const alert = testAlert(settings, now())
      return deps.tellOnce(current.alerting, alert, settings.externalUrl, stopping.signal)
    }),
  )
  const health = { config: true, web: true, listen: true }
  const tellHealth = (change: Partial<typeof health>) => {
    Object.assign(health, change)
    store.monitor({ lastReloadOk: health.config && health.web && health.listen })
  }
  const addressesOf = ({ listen }: Pick<Config, 'listen'>) =>
    (deps.listen ?? listen).flatMap(address => parseListen(address) ?? [])
  const serving = await startServing({
    addresses: addressesOf(config),
    controlSocket: deps.controlSocket,
    routes,
    ...(deps.web ? { web: deps.web } : {}),
    onWeb: faults => tellHealth({ web: faults.length === 0 }),
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
    provesFeatures: () => current.canary.features,
    slots: {
      readLocks: deps.readSlotLocks,
      stuckAfterSeconds: () => current.slots.stuckAfterHours * 3600,
    },
    onLost: (builder, reason) => {
      log.debug({ builder: builder.name, reason }, 'kept connection lost')
      planner.soon('login', builder, Math.random() * 2000)
    },
  })
  let planner = plan(current)
  function plan(planned: Config): Planner {
    const soon = (
      job: JobName,
      builder: ActiveBuilders['builders'][number],
      ms: number,
    ) => planner.soon(job, builder, ms)
    const jobs = createJobs({
      engine,
      read: () => store.read(),
      config: () => current,
      now,
      soon,
      random: Math.random,
      askLocalDaemon: deps.askLocalDaemon,
    })
    return createPlanner(jobs, {
      timetable: deps.createTimetable(planned.timeZone),
      random: Math.random,
      onLate: deps.onLate,
      onError: (job, builder, error) =>
        log.error({ job, builder: builder.name, err: error }, 'job failed'),
    })
  }

  const client = createClientWatch({
    look: deps.lookAtClient,
    store,
    active: () => active,
    log,
    signal: stopping.signal,
  })
  const followClient = () =>
    client.follow(deps.createTimetable(current.timeZone), current.schedule.client)
  let endClient = followClient()

  // As it was at start: a label of alerts that changed would make others of them
  const here = whereabouts(
    serving.addresses(),
    hostname(),
    deps.web?.first.access.tls ? 'https' : 'http',
  )
  const stops = [
    () => endClient(),
    keepMemory(store, deps.stateFile),
    ...deps.exporters.flatMap(one => (one.start ? [one.start(store)] : [])),
    startAlerts({
      read: store.read,
      publish: store.alerts,
      samples: deps.readSamples,
      settings: () => alertSettings(current, here),
      memory: {
        read: () => deps.stateFile.read('alerts'),
        write: (value, isNews) => deps.stateFile.write('alerts', value, isNews),
      },
      clock,
      log,
      ...(deps.alertPatience === undefined ? {} : { patience: deps.alertPatience }),
    }),
    startSelfDoubt({
      store,
      clock,
      log,
      lookAgain: (builder, delayMs) => planner.soon('login', builder, delayMs),
    }),
  ]

  const adopt = (next: ActiveBuilders) => {
    const before = store.read().builders
    active = next
    store.configure(next)
    deps.traces.retain(new Set(store.read().builders.keys()))
    planner.setBuilders(next.builders)
    client.look()
    for (const [name, { builder }] of before)
      if (!store.read().builders.has(name)) engine.disconnect(builder)
    for (const builder of next.builders)
      if (store.read().builders.get(builder.name)?.probes.login === undefined)
        planner.soon('login', builder, 0)
    for (const problem of next.problems)
      log.warn({ ...problem }, 'problem in the builders list')
  }
  adopt(active)

  let reloads: Promise<unknown> = Promise.resolve()
  const reload = (): Promise<readonly string[]> => {
    const done = reloads.then(async () => {
      store.monitor({ reloading: true })
      try {
        return await readAnew()
      } finally {
        store.monitor({ reloading: false })
      }
    })
    // One after the other
    reloads = done.catch(() => undefined)
    return done
  }
  const readAnew = async (): Promise<readonly string[]> => {
    const loaded = await deps.loadConfig()
    const faults: string[] = loaded.ok ? [] : [...loaded.errors]
    tellHealth({ config: loaded.ok })
    faults.push(...(await serving.reloadWeb()))
    if (loaded.ok) {
      const reschedule = isOtherSchedule(current, loaded.config)
      current = loaded.config
      const unbound = await serving.move(addressesOf(current))
      tellHealth({ listen: unbound.length === 0 })
      faults.push(...unbound)
      if (reschedule) {
        const old = planner
        planner = plan(current)
        void old.stop()
        endClient()
        endClient = followClient()
        store.monitor({ intervals: intervals() })
      }
    } else
      for (const error of loaded.errors)
        log.error({ error }, 'the new configuration is bad, the old one stays')
    const next = await deps.readBuilders(stopping.signal)
    adopt(next)
    log.info(
      { builders: next.builders.length, problems: next.problems.length },
      'reloaded',
    )
    return faults
  }

  const endWatch = await watchBuilders({
    active: () => active,
    read: () => deps.readBuilders(stopping.signal),
    adopt,
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
    endWatch()
    for (const end of stops) end()
    serving.settle()
    // In this order: no new work, then no connections, then no listeners
    const orderly = (async () => {
      const planned = planner.stop()
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
const keepMemory = (store: Store, file: StateFile): (() => void) => {
  let changes = -1
  return store.subscribe(({ builders }) => {
    const before = changes
    changes = 0
    for (const { verdict } of builders.values()) changes += verdict.changes
    file.write('builders', () => remember(store.read()), changes !== before)
  })
}

const alertSettings = (
  { alerting }: Config,
  here: ReturnType<typeof whereabouts>,
): AlertSettings => ({
  ...alerting,
  instance: alerting.instance || here.instance,
  externalUrl: (alerting.externalUrl || here.externalUrl).replace(/\/+$/, ''),
})

const expectation = (config: Config, name: string): 'awake' | 'asleep' | 'drained' => {
  const exceptions = config.builders[name]
  return exceptions?.drained ? 'drained' : (exceptions?.expect ?? 'awake')
}
