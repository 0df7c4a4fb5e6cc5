import type { Kind } from './kind.ts'
import type { AlertsState } from './alerts.ts'
import type { ActiveBuilders, Builder, LocalNix, Problem } from './builders.ts'
import type { ClientState } from './client.ts'
import type { ProbeName, Result } from './outcomes.ts'
import type { History, ProbeRecords } from './history.ts'
import type { State, Health } from './health.ts'
import type { Drain, Hold, Quarantine, QuarantineState } from './quarantine.ts'

/** Everything known about one builder. A new object after each change, so identity means unchanged. */
export interface BuilderState {
  readonly builder: Builder
  readonly probes: ProbeRecords
  readonly health: Health
  /** Times of the most recent changes of state, for flapping. Bounded. */
  readonly changedAt: readonly number[]
  readonly history: History
  /** The most recent failures with their evidence, newest last. Bounded, and separate from `history` so that successes do not push them out. */
  readonly failures: readonly Result[]
  /** A login whose expected deadline has passed, Unix seconds; it is repeated with the hard deadline before it is recorded. */
  readonly firstTimeout?: { readonly at: number; readonly kind: Kind }
  /** Absent unless it is drained by a command. */
  readonly drain?: Drain
  /** Absent unless the builder failed and was not verified for long enough since. */
  readonly quarantine?: Quarantine
  /** Absent unless builds are kept away from the builder. */
  readonly hold?: Hold
  /** The state when the monitor was last stopped. Absent when the builder was not known then. */
  readonly previousRun?: {
    readonly state: State
    readonly kind: string | null
    readonly since: number
  }
}

/** An immutable view of all state. */
export interface Snapshot {
  readonly version: number
  /** Unix seconds. */
  readonly at: number
  readonly source: ActiveBuilders['source']
  readonly builders: ReadonlyMap<string, BuilderState>
  readonly problems: readonly Problem[]
  /** The local Nix when the builders were read. Absent before that. */
  readonly nix?: LocalNix
  /** The newest check of this machine. Absent before the first one. */
  readonly client?: ClientState
  /** Absent when alerting is off. */
  readonly alerts?: AlertsState
  /** Absent before the first decision. */
  readonly quarantine?: QuarantineState
  readonly monitor: MonitorState
}

/** State of the monitor itself. */
export interface MonitorState {
  readonly startedAt: number
  /** True while changes of health are paused (suspend, clock jump, event-loop lag, many failures at once). */
  readonly selfCheckFailed: boolean
  readonly lastReloadOk: boolean
  /** True during a reload. */
  readonly reloading?: boolean
  /** False while the state file cannot be read or written. Absent when there is none. */
  readonly stateFileOk?: boolean
  /** Failed attempts by kind, all builders, since the start. */
  readonly failuresByKind: Readonly<Partial<Record<Kind, number>>>
  /** Interval of each probe in seconds. */
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** True when every builder that is probed had a first login attempt. */
  readonly ready: boolean
}

/** What changed since the listener was last called. */
export interface SnapshotChange {
  /** Names of builders that were added, changed or removed. */
  readonly builders: ReadonlySet<string>
}

/** Called once for all changes of a turn of the event loop, with the newest snapshot. Work for the builders that changed is enough. */
export type SnapshotListener = (snapshot: Snapshot, change: SnapshotChange) => void

/** How exporters read the state. */
export interface View {
  read(): Snapshot
  /** Calls the listener after each turn of the event loop in which something changed, until the returned function is called. */
  subscribe(listener: SnapshotListener): () => void
}

/** One sample of a metric family, with the names and labels of docs/metrics.md. */
export interface Sample {
  readonly family: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
