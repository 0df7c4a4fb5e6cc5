import type { Kind } from './kind.ts'
import type { AlertsState } from './alerts.ts'
import type { ActiveBuilders, Builder, LocalNix, Problem } from './builders.ts'
import type { ClientState } from './client.ts'
import type { ProbeName, Result } from './outcomes.ts'
import type { History, ProbeRecords } from './history.ts'
import type { State, Health } from './health.ts'

/** Everything known of one builder. A new object whenever anything changed, so identity says "unchanged". */
export interface BuilderState {
  readonly builder: Builder
  readonly probes: ProbeRecords
  readonly health: Health
  /** Times of the newest changes of the verdict, for flapping; bounded. */
  readonly changedAt: readonly number[]
  readonly history: History
  /** Newest last; bounded. Kept apart from the rest of the past, evidence and all, so that successes do not push them out. */
  readonly failures: readonly Result[]
  /** What the verdict was when the monitor was last stopped; absent where it was not known then. */
  readonly previousRun?: {
    readonly state: State
    readonly kind: string | null
    readonly since: number
  }
}

/** An immutable view of the whole. */
export interface Snapshot {
  readonly version: number
  /** Unix seconds. */
  readonly at: number
  readonly source: ActiveBuilders['source']
  readonly builders: ReadonlyMap<string, BuilderState>
  readonly problems: readonly Problem[]
  /** The local Nix, as it was when the builders were read; absent before that. */
  readonly nix?: LocalNix
  /** The newest look at this machine itself; absent before the first. */
  readonly client?: ClientState
  /** Absent where alerting is off. */
  readonly alerts?: AlertsState
  readonly monitor: MonitorState
}

/** What the monitor knows of itself. */
export interface MonitorState {
  readonly startedAt: number
  readonly selfCheckFailed: boolean
  readonly lastReloadOk: boolean
  /** True while the configuration is being read anew. */
  readonly reloading?: boolean
  /** False while the state file cannot be read or written; absent where there is none. */
  readonly stateFileOk?: boolean
  /** Failed attempts by kind, all builders, since start. */
  readonly failuresByKind: Readonly<Partial<Record<Kind, number>>>
  /** Interval of each probe in seconds. */
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** True once every builder has had a first verdict. */
  readonly ready: boolean
}

/** How exporters see the state. */
export interface View {
  read(): Snapshot
  /** Calls the listener after each new snapshot; the returned function ends it. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void
}

/** One sample of a metric family; names and labels are those of docs/metrics.md. */
export interface Sample {
  readonly family: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
