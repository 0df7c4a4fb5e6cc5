import type {
  ActiveBuilders,
  AlertsState,
  Builder,
  BuilderState,
  Check,
  ClientState,
  Levels,
  MonitorState,
  ProbeName,
  ProbeRecord,
  ProbeValues,
  Result,
  Snapshot,
  View,
} from '../model.ts'
import { withPast, type Remembered } from './memory.ts'

/** Checks kept for each probe of a builder, and failures kept apart so that successes do not push the evidence out. */
const pastLength = 60
const failuresLength = 20

/** Judges a builder after each change; the damped way for the daemon, the instant way for `check`. */
export type Judge = (
  state: BuilderState,
  whole: Pick<Snapshot, 'monitor' | 'problems'>,
) => Pick<BuilderState, 'verdict' | 'changedAt'>

export interface Store extends View {
  /** Takes over a new list: known builders keep their past as long as their line is the same. */
  configure(active: ActiveBuilders): void
  /** Adds results of one builder; those of a builder that left in the meantime are dropped. */
  record(builder: Builder, results: readonly Result[]): void
  /** Judges everybody again, since time passed. */
  tick(): void
  monitor(change: Partial<MonitorState>): void
  /** Takes over what a look at this machine itself found. */
  client(client: ClientState): void
  /** Takes over the alerts; null where alerting is off. */
  alerts(alerts: AlertsState | null): void
}

/** The numbers of a result that are worth following: the probes' own `levels`. */
export type LevelsOf = (result: Result) => Levels

/** The one place where state changes: each change makes a new immutable snapshot. */
export const createStore = (
  judge: Judge,
  now: () => number,
  initial: MonitorState,
  past: ReadonlyMap<string, Remembered> = new Map(),
  levelsOf: LevelsOf = () => ({}),
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
  const judged = (state: BuilderState): BuilderState => ({
    ...state,
    ...judge(state, snapshot),
  })
  const isReady = (builders: ReadonlyMap<string, BuilderState>) =>
    [...builders.values()].every(state => state.probes.login !== undefined)

  return {
    read: () => snapshot,
    subscribe: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    configure: active => {
      const whole = { ...snapshot, problems: active.problems }
      const builders = new Map(
        active.builders.map((builder): [string, BuilderState] => {
          const known = snapshot.builders.get(builder.name)
          const keep = known?.builder.line === builder.line
          const state = keep
            ? { ...known, builder }
            : withPast(newState(builder, now()), past.get(builder.name), now())
          return [builder.name, { ...state, ...judge(state, whole) }]
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
      const known = snapshot.builders.get(builder.name)
      if (!known || known.builder.line !== builder.line || results.length === 0) return
      const state = judged(
        results.reduce((state, one) => withResult(state, one, levelsOf(one)), known),
      )
      const builders = new Map(snapshot.builders).set(builder.name, state)
      const monitor = {
        ...snapshot.monitor,
        failuresByKind: countKinds(snapshot.monitor.failuresByKind, results),
        ready: snapshot.monitor.ready || isReady(builders),
      }
      publish({ builders, monitor })
    },
    tick: () => {
      const builders = new Map<string, BuilderState>()
      let changed = false
      for (const [name, state] of snapshot.builders) {
        const next = judged(state)
        const differs =
          next.verdict.state !== state.verdict.state ||
          next.verdict.flapping !== state.verdict.flapping
        changed ||= differs
        builders.set(name, differs ? next : state)
      }
      if (changed) publish({ builders })
    },
    client: client => publish({ client }),
    alerts: alerts => {
      const { alerts: _, ...rest } = snapshot
      snapshot = rest
      publish(alerts ? { alerts } : {})
    },
    monitor: change => publish({ monitor: { ...snapshot.monitor, ...change } }),
  }
}

const newState = (builder: Builder, now: number): BuilderState => ({
  builder,
  probes: {},
  verdict: {
    state: 'unknown',
    cause: null,
    since: now,
    changes: 0,
    flapping: false,
    proven: false,
  },
  changedAt: [],
  past: {},
  failures: [],
})

const isGood = (result: Result): boolean =>
  result.outcome.status === 'ok' || result.outcome.status === 'degraded'

const withResult = (
  state: BuilderState,
  result: Result,
  levels: Levels,
): BuilderState => {
  const { probe, outcome } = result
  const before: ProbeRecord | undefined = state.probes[probe]
  return {
    ...state,
    probes: { ...state.probes, [probe]: nextRecord(before, result) },
    past: {
      ...state.past,
      [probe]: [...(state.past[probe] ?? []), checkOf(result, levels)].slice(-pastLength),
    },
    failures:
      outcome.status === 'failed'
        ? [...state.failures, result].slice(-failuresLength)
        : state.failures,
  }
}

const checkOf = ({ outcome, at, durationSeconds }: Result, levels: Levels): Check => ({
  status: outcome.status,
  kind: 'kind' in outcome ? outcome.kind : null,
  at,
  durationSeconds,
  levels,
})

const nextRecord = (before: ProbeRecord | undefined, result: Result): ProbeRecord => {
  const good = isGood(result)
  const counts = good || result.outcome.status === 'failed'
  const same =
    before !== undefined && before.streak.good === good && before.streak.count > 0
  return {
    last: result,
    conclusive: counts ? result : (before?.conclusive ?? null),
    lastGood: good ? result : (before?.lastGood ?? null),
    attempts: (before?.attempts ?? 0) + (counts ? 1 : 0),
    failures: (before?.failures ?? 0) + (counts && !good ? 1 : 0),
    streak: !counts
      ? (before?.streak ?? { good: false, count: 0, since: result.at })
      : same
        ? { ...before.streak, count: before.streak.count + 1 }
        : { good, count: 1, since: result.at },
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
  const outcome = state?.probes[probe]?.lastGood?.outcome
  // The record of P holds values of P; TypeScript loses that through the index
  return outcome && 'value' in outcome ? (outcome.value ?? null) : null
}
