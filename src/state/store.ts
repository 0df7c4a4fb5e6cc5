import { isDeepStrictEqual } from 'node:util'
import {
  isSuccess,
  type ActiveBuilders,
  type AlertsState,
  type Builder,
  type BuilderState,
  type ClientState,
  type Health,
  type HistoryEntry,
  type Kind,
  type MonitorState,
  type ProbeName,
  type ProbeRecord,
  type ProbeValues,
  type QuarantineState,
  type Result,
  type Snapshot,
  type SnapshotListener,
  type Trends,
  type View,
} from '../model/index.ts'
import { BuilderStates } from './builder-states.ts'
import { restoreBuilder, type PersistedBuilder } from './persisted-builders.ts'

/** Entries kept per probe of a builder. Failures are kept separately, so that successes do not push them out. */
const historyLength = 60
const failuresLength = 20

/** Computes the health of a builder after each change: debounced for the daemon, immediate for `check`. */
export type EvaluateHealth = (
  state: BuilderState,
  snapshot: Pick<Snapshot, 'monitor' | 'problems'>,
) => Pick<BuilderState, 'health' | 'changedAt'>

/** Extracts the values of a result that are shown as sparklines. */
export type ReadTrends = (result: Result) => Trends

/** A builder before and after its results were recorded. */
export interface Recorded {
  readonly before: BuilderState
  readonly after: BuilderState
}

/** What keeps builds away from one builder. */
export type OutOfService = Pick<BuilderState, 'drain' | 'quarantine' | 'hold'>

export interface Store extends View {
  /** Replaces the builders list. A builder whose line is unchanged keeps its state. */
  setBuilders(active: ActiveBuilders): void
  /** Adds results of one builder. Returns null when the builder is not in the list any more. */
  record(builder: Builder, results: readonly Result[]): Recorded | null
  /**
   * Evaluates health again, because a second has passed: that of each builder that something is wrong with, and a part of
   * the others, which change with time only when their results become stale.
   */
  tick(): void
  /** Evaluates the health of all builders again, because the configuration changed. */
  evaluateAll(): void
  updateMonitor(change: Partial<MonitorState>): void
  setClient(client: ClientState): void
  /** Notes that the expected deadline of a login has passed; the next result of a login forgets it. */
  noteFirstTimeout(builder: Builder, kind: Kind): void
  /** Replaces what keeps builds away from each builder; builders that are not in the map have nothing. */
  setOutOfService(
    byName: ReadonlyMap<string, OutOfService>,
    quarantine: QuarantineState,
  ): void
  /** Null when alerting is off. */
  setAlerts(alerts: AlertsState | null): void
}

export interface StoreDeps {
  readonly evaluateHealth: EvaluateHealth
  /** Unix seconds. */
  readonly now: () => number
  /** Interval of each probe, seconds. */
  readonly intervals: MonitorState['intervals']
  /** State from before the last restart. */
  readonly persisted?: ReadonlyMap<string, PersistedBuilder>
  readonly readTrends?: ReadTrends
  /** Called with the exception of a listener. The other listeners are called all the same. */
  readonly onListenerError?: (error: unknown) => void
}

/**
 * The only place where state changes. Each change creates a new immutable snapshot, which `read` returns at once; listeners
 * are called once for all changes of a turn of the event loop. A result costs the same with ten builders and with thousands.
 */
export const createStore = ({
  evaluateHealth,
  now,
  intervals,
  persisted = new Map(),
  readTrends = () => ({}),
  onListenerError = () => undefined,
}: StoreDeps): Store => {
  const listeners = new Set<SnapshotListener>()
  /** Each entry is used once: a builder that is removed and added again starts without history. */
  const restorable = new Map(persisted)
  let states = BuilderStates.of([])
  /** Builders that have something that keeps builds away. */
  let outOfService: ReadonlySet<string> = new Set()
  /** Builders without a first login attempt, until there is none: from then on the monitor is ready. */
  let unchecked = new Set<string>()
  let snapshot: Snapshot = {
    version: 0,
    at: now(),
    source: 'files',
    builders: states,
    problems: [],
    monitor: {
      startedAt: now(),
      selfCheckFailed: false,
      lastReloadOk: true,
      failuresByKind: {},
      intervals,
      ready: false,
    },
  }
  /** Builders that changed in this turn of the event loop. Null when nothing did. */
  let changed: Set<string> | null = null
  const notify = () => {
    const builders = changed ?? new Set<string>()
    changed = null
    for (const listener of listeners)
      try {
        listener(snapshot, { builders })
      } catch (error) {
        onListenerError(error)
      }
  }
  const publish = (change: Partial<Snapshot>, names: Iterable<string> = []) => {
    if (!changed) {
      changed = new Set()
      setImmediate(notify)
    }
    for (const name of names) changed.add(name)
    snapshot = { ...snapshot, ...change, version: snapshot.version + 1, at: now() }
  }
  /** Publishes builders that are in the list, and what else changed with them. */
  const publishStates = (
    next: readonly BuilderState[],
    { monitor = snapshot.monitor, ...change }: Partial<Snapshot> = {},
  ) => {
    for (const state of next) {
      states = states.with(state)
      if (isChecked(state)) unchecked.delete(state.builder.name)
      else unchecked.add(state.builder.name)
    }
    publish(
      {
        ...change,
        builders: states,
        monitor: next.length > 0 ? withReady(monitor) : monitor,
      },
      next.map(({ builder }) => builder.name),
    )
  }
  const withReady = (monitor: MonitorState): MonitorState =>
    monitor.ready || unchecked.size > 0 ? monitor : { ...monitor, ready: true }
  const withHealth = (
    state: BuilderState,
    context: Pick<Snapshot, 'monitor' | 'problems'> = snapshot,
  ): BuilderState => ({ ...state, ...evaluateHealth(state, context) })

  let tickCount = 0
  const evaluate = (isDue: (state: BuilderState) => boolean) => {
    const next: BuilderState[] = []
    for (const state of states.values()) {
      if (!isDue(state)) continue
      const evaluated = withHealth(state)
      if (!isSameHealth(evaluated.health, state.health)) next.push(evaluated)
    }
    if (next.length > 0) publishStates(next)
  }

  return {
    read: () => snapshot,
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    setBuilders: active => {
      const { problems, source, nix } = active
      const before = states
      states = BuilderStates.of(
        active.builders.map(builder => {
          const current = before.get(builder.name)
          const isSame = current?.builder.line === builder.line
          const state = isSame
            ? { ...current, builder }
            : restoreBuilder(
                newState(builder, now()),
                restorable.get(builder.name),
                now(),
              )
          restorable.delete(builder.name)
          return withHealth(state, { ...snapshot, problems })
        }),
      )
      const isIncomplete = (state: BuilderState) => !isChecked(state)
      unchecked = new Set([...states.values()].filter(isIncomplete).map(nameOf))
      outOfService = new Set([...states.values()].filter(isOutOfService).map(nameOf))
      publish(
        {
          ...{ builders: states, problems, source, nix },
          monitor: withReady(snapshot.monitor),
        },
        [...before.keys(), ...states.keys()],
      )
    },
    record: (builder, results) => {
      const before = states.get(builder.name)
      if (before?.builder.line !== builder.line) return null
      if (results.length === 0) return { before, after: before }
      const after = withHealth(
        results.reduce(
          (state, result) => withResult(state, result, readTrends(result)),
          results.some(({ probe }) => probe === 'login')
            ? withoutFirstTimeout(before)
            : before,
        ),
      )
      const { monitor } = snapshot
      const failuresByKind = countKinds(monitor.failuresByKind, results)
      publishStates([after], { monitor: { ...monitor, failuresByKind } })
      return { before, after }
    },
    tick: () => {
      tickCount++
      let index = 0
      evaluate(
        state => index++ % settledTicks === tickCount % settledTicks || !isSettled(state),
      )
    },
    evaluateAll: () => evaluate(() => true),
    setClient: client => publish({ client }),
    noteFirstTimeout: (builder, kind) => {
      const state = states.get(builder.name)
      if (state?.builder.line !== builder.line) return
      publishStates([{ ...state, firstTimeout: { at: now(), kind } }])
    },
    setOutOfService: (byName, quarantine) => {
      const next: BuilderState[] = []
      for (const name of new Set([...outOfService, ...byName.keys()])) {
        const state = states.get(name)
        const wanted = definedOf(byName.get(name) ?? {})
        if (!state || isDeepStrictEqual(definedOf(state), wanted)) continue
        const { drain: _d, quarantine: _q, hold: _h, ...rest } = state
        next.push(withHealth({ ...rest, ...wanted }))
      }
      outOfService = new Set(byName.keys())
      if (next.length === 0 && isDeepStrictEqual(quarantine, snapshot.quarantine)) return
      publishStates(next, { quarantine })
    },
    setAlerts: alerts => {
      const { alerts: _, ...rest } = snapshot
      snapshot = rest
      publish(alerts ? { alerts } : {})
    },
    updateMonitor: change => publish({ monitor: { ...snapshot.monitor, ...change } }),
  }
}

const definedOf = ({ drain, quarantine, hold }: Partial<BuilderState>): OutOfService => ({
  ...(drain ? { drain } : {}),
  ...(quarantine ? { quarantine } : {}),
  ...(hold ? { hold } : {}),
})

/** A builder that nothing is wrong with is evaluated in every nth tick. */
const settledTicks = 5

const isSettled = ({ health, probes }: BuilderState): boolean =>
  health.state === 'healthy' &&
  Object.values(probes).every(
    ({ last: { outcome } }) =>
      outcome.status !== 'failed' && outcome.status !== 'degraded',
  )

const nameOf = ({ builder }: BuilderState): string => builder.name

const isOutOfService = (state: BuilderState): boolean =>
  Object.keys(definedOf(state)).length > 0

const isSameHealth = (a: Health, b: Health): boolean =>
  a.state === b.state &&
  a.flapping === b.flapping &&
  a.verified === b.verified &&
  a.cause?.kind === b.cause?.kind &&
  a.cause?.probe === b.cause?.probe

/** A drained builder is not probed, so nothing has to be waited for. */
const isChecked = ({ probes, health }: BuilderState): boolean =>
  probes.login !== undefined || health.state === 'drained'

const newState = (builder: Builder, now: number): BuilderState => ({
  builder,
  probes: {},
  health: {
    state: 'unknown',
    cause: null,
    since: now,
    changes: 0,
    flapping: false,
    verified: false,
  },
  changedAt: [],
  history: {},
  failures: [],
})

const withoutFirstTimeout = ({ firstTimeout: _, ...state }: BuilderState): BuilderState =>
  state

const withResult = (
  state: BuilderState,
  result: Result,
  trends: Trends,
): BuilderState => {
  const { probe, outcome } = result
  const entries = [...(state.history[probe] ?? []), toHistoryEntry(result, trends)]
  return {
    ...state,
    probes: { ...state.probes, [probe]: nextRecord(state.probes[probe], result) },
    history: { ...state.history, [probe]: entries.slice(-historyLength) },
    failures:
      outcome.status === 'failed'
        ? [...state.failures, result].slice(-failuresLength)
        : state.failures,
  }
}

const toHistoryEntry = (
  { outcome, at, durationSeconds }: Result,
  trends: Trends,
): HistoryEntry => ({
  status: outcome.status,
  kind: 'kind' in outcome ? outcome.kind : null,
  at,
  durationSeconds,
  trends,
})

const nextRecord = (before: ProbeRecord | undefined, result: Result): ProbeRecord => {
  const ok = isSuccess(result)
  const isConclusive = ok || result.outcome.status === 'failed'
  const continuesStreak =
    before !== undefined && before.streak.ok === ok && before.streak.count > 0
  return {
    last: result,
    conclusive: isConclusive ? result : (before?.conclusive ?? null),
    lastSuccess: ok ? result : (before?.lastSuccess ?? null),
    attempts: (before?.attempts ?? 0) + (isConclusive ? 1 : 0),
    failures: (before?.failures ?? 0) + (isConclusive && !ok ? 1 : 0),
    streak: !isConclusive
      ? (before?.streak ?? { ok: false, count: 0, since: result.at })
      : continuesStreak
        ? { ...before.streak, count: before.streak.count + 1 }
        : { ok, count: 1, since: result.at },
  }
}

const countKinds = (
  counts: MonitorState['failuresByKind'],
  results: readonly Result[],
): MonitorState['failuresByKind'] => {
  const next = { ...counts }
  for (const { outcome } of results)
    if (outcome.status === 'failed') next[outcome.kind] = (next[outcome.kind] ?? 0) + 1
  return next
}

/** Returns the value of the newest success of a probe, null when there is none. */
export const lastValue = <P extends ProbeName>(
  state: BuilderState | undefined,
  probe: P,
): ProbeValues[P] | null => {
  const outcome = state?.probes[probe]?.lastSuccess?.outcome
  // The record of P holds values of P; TypeScript loses that through the index
  return outcome && 'value' in outcome ? (outcome.value ?? null) : null
}
