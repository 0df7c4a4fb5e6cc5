import type {
  ActiveBuilders,
  AlertsState,
  Builder,
  BuilderState,
  HistoryEntry,
  ClientState,
  Trends,
  MonitorState,
  ProbeName,
  ProbeRecord,
  ProbeValues,
  Result,
  Snapshot,
  View,
} from '../model/index.ts'
import { restoreBuilder, type PersistedBuilder } from './persisted-builders.ts'

/** Checks kept for each probe of a builder, and failures kept apart so that successes do not push the evidence out. */
const historyLength = 60
const failuresLength = 20

/** Judges a builder after each change; the damped way for the daemon, the instant way for `check`. */
export type EvaluateHealth = (
  state: BuilderState,
  whole: Pick<Snapshot, 'monitor' | 'problems'>,
) => Pick<BuilderState, 'health' | 'changedAt'>

export interface Store extends View {
  /** Takes over a new list: known builders keep their past as long as their line is the same. */
  setBuilders(active: ActiveBuilders): void
  /** Adds results of one builder; those of a builder that left in the meantime are dropped. */
  record(builder: Builder, results: readonly Result[]): void
  /** Judges everybody again, since time passed. */
  tick(): void
  updateMonitor(change: Partial<MonitorState>): void
  /** Takes over what a look at this machine itself found. */
  setClient(setClient: ClientState): void
  /** Takes over the alerts; null where alerting is off. */
  setAlerts(setAlerts: AlertsState | null): void
}

/** The numbers of a result that are worth following: the probes' own `levels`. */
export type ReadTrends = (result: Result) => Trends

/** The one place where state changes: each change makes a new immutable snapshot. */
export const createStore = (
  evaluateHealth: EvaluateHealth,
  now: () => number,
  initial: MonitorState,
  persisted: ReadonlyMap<string, PersistedBuilder> = new Map(),
  readTrends: ReadTrends = () => ({}),
): Store => {
  const listeners = new Set<(snapshot: Snapshot) => void>()
  let snapshot: Snapshot = {
    version: 0,
    at: now(),
    source: 'files',
    builders: new Map(),
    problems: [],
    monitor: initial,
  }
  const publish = (change: Partial<Snapshot>) => {
    snapshot = { ...snapshot, ...change, version: snapshot.version + 1, at: now() }
    for (const listener of listeners) listener(snapshot)
  }
  const withHealth = (state: BuilderState): BuilderState => ({
    ...state,
    ...evaluateHealth(state, snapshot),
  })
  const isReady = (builders: ReadonlyMap<string, BuilderState>) =>
    [...builders.values()].every(state => state.probes.login !== undefined)

  return {
    read: () => snapshot,
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    setBuilders: active => {
      const whole = { ...snapshot, problems: active.problems }
      const builders = new Map(
        active.builders.map((builder): [string, BuilderState] => {
          const current = snapshot.builders.get(builder.name)
          const keep = current?.builder.line === builder.line
          const state = keep
            ? { ...current, builder }
            : restoreBuilder(newState(builder, now()), persisted.get(builder.name), now())
          return [builder.name, { ...state, ...evaluateHealth(state, whole) }]
        }),
      )
      publish({
        builders,
        problems: active.problems,
        source: active.source,
        nix: active.nix,
        // Where nobody is to be looked at, the first round is over
        monitor: {
          ...snapshot.monitor,
          ready: snapshot.monitor.ready || builders.size === 0,
        },
      })
    },
    record: (builder, results) => {
      const current = snapshot.builders.get(builder.name)
      if (!current || current.builder.line !== builder.line || results.length === 0)
        return
      const state = withHealth(
        results.reduce((state, one) => withResult(state, one, readTrends(one)), current),
      )
      const builders = new Map(snapshot.builders).set(builder.name, state)
      const updateMonitor = {
        ...snapshot.monitor,
        failuresByKind: countKinds(snapshot.monitor.failuresByKind, results),
        ready: snapshot.monitor.ready || isReady(builders),
      }
      publish({ builders, monitor: updateMonitor })
    },
    tick: () => {
      const builders = new Map<string, BuilderState>()
      let changed = false
      for (const [name, state] of snapshot.builders) {
        const next = withHealth(state)
        const differs =
          next.health.state !== state.health.state ||
          next.health.flapping !== state.health.flapping
        changed ||= differs
        builders.set(name, differs ? next : state)
      }
      if (changed) publish({ builders })
    },
    setClient: setClient => publish({ client: setClient }),
    setAlerts: setAlerts => {
      const { alerts: _, ...rest } = snapshot
      snapshot = rest
      publish(setAlerts ? { alerts: setAlerts } : {})
    },
    updateMonitor: change => publish({ monitor: { ...snapshot.monitor, ...change } }),
  }
}

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

const isSuccess = (result: Result): boolean =>
  result.outcome.status === 'ok' || result.outcome.status === 'degraded'

const withResult = (
  state: BuilderState,
  result: Result,
  levels: Trends,
): BuilderState => {
  const { probe, outcome } = result
  const before: ProbeRecord | undefined = state.probes[probe]
  return {
    ...state,
    probes: { ...state.probes, [probe]: nextRecord(before, result) },
    history: {
      ...state.history,
      [probe]: [...(state.history[probe] ?? []), toHistoryEntry(result, levels)].slice(
        -historyLength,
      ),
    },
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
  const counts = ok || result.outcome.status === 'failed'
  const same = before !== undefined && before.streak.ok === ok && before.streak.count > 0
  return {
    last: result,
    conclusive: counts ? result : (before?.conclusive ?? null),
    lastSuccess: ok ? result : (before?.lastSuccess ?? null),
    attempts: (before?.attempts ?? 0) + (counts ? 1 : 0),
    failures: (before?.failures ?? 0) + (counts && !ok ? 1 : 0),
    streak: !counts
      ? (before?.streak ?? { ok: false, count: 0, since: result.at })
      : same
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

/** The value of the newest good result of a probe, null where there is none. */
export const lastValue = <P extends ProbeName>(
  state: BuilderState | undefined,
  probe: P,
): ProbeValues[P] | null => {
  const outcome = state?.probes[probe]?.lastSuccess?.outcome
  // The record of P holds values of P; TypeScript loses that through the index
  return outcome && 'value' in outcome ? (outcome.value ?? null) : null
}
