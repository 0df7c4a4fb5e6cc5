import { createHash } from 'node:crypto'
import {
  states,
  type BuilderState,
  type History,
  type HistoryEntry,
  type ProbeName,
  type Snapshot,
  type State,
  isKind,
} from '../model/index.ts'

/** State of a builder from before the last restart. */
export interface PersistedBuilder {
  /** Hash of the machine line. A different line is a different builder. */
  readonly line: string
  readonly state: State
  readonly kind: string | null
  readonly since: number
  readonly history: History
}

/** The probes that decide the state. Measurements start again with the monitor. */
const persistedProbes: readonly ProbeName[] = ['login', 'trust', 'canary', 'direct']
const maxEntries = 60

/** Returns the part of a snapshot that survives a restart, as JSON: states with their age, and recent attempts. */
export const serializeBuilders = ({ builders }: Snapshot): unknown =>
  [...builders.values()].map(({ builder, health, history }) => ({
    name: builder.name,
    line: hashLine(builder.line),
    state: health.state,
    kind: health.cause?.kind ?? null,
    since: health.since,
    history: Object.fromEntries(
      persistedProbes.flatMap(probe => {
        const entries = history[probe]
        return entries ? [[probe, entries.map(toTuple)]] : []
      }),
    ),
  }))

/** Parses the output of `serializeBuilders`, by builder name. Invalid entries are dropped. */
export const parseBuilders = (
  persisted: unknown,
): ReadonlyMap<string, PersistedBuilder> => {
  const builders = new Map<string, PersistedBuilder>()
  for (const entry of Array.isArray(persisted) ? persisted : []) {
    const { name, line, kind, since, ...rest } = (entry ?? {}) as Record<string, unknown>
    const state = states.find(known => known === rest['state'])
    if (typeof name !== 'string' || typeof line !== 'string' || !state) continue
    if (typeof since !== 'number' || !Number.isFinite(since)) continue
    builders.set(name, {
      line,
      state,
      kind: typeof kind === 'string' ? kind : null,
      since,
      history: parseHistory(rest['history']),
    })
  }
  return builders
}

/** Adds the persisted state to a new builder. Unchanged when there is none, or when its line is another. */
export const restoreBuilder = (
  state: BuilderState,
  persisted: PersistedBuilder | undefined,
  now: number,
): BuilderState =>
  !persisted || persisted.line !== hashLine(state.builder.line) || persisted.since > now
    ? state
    : {
        ...state,
        previousRun: {
          state: persisted.state,
          kind: persisted.kind,
          since: persisted.since,
        },
        history: persisted.history,
      }

const hashLine = (line: string): string =>
  createHash('sha256').update(line).digest('base64url').slice(0, 22)

const toTuple = ({ status, kind, at, durationSeconds }: HistoryEntry) => [
  status,
  kind,
  Math.round(at),
  Number(durationSeconds.toFixed(3)),
]

const parseHistory = (persisted: unknown): History => {
  if (typeof persisted !== 'object' || persisted === null) return {}
  const byProbe = persisted as Readonly<Record<string, unknown>>
  return Object.fromEntries(
    persistedProbes.flatMap(probe => {
      const entries = byProbe[probe]
      return Array.isArray(entries)
        ? [[probe, entries.slice(-maxEntries).flatMap(parseEntry)]]
        : []
    }),
  )
}

const statuses: readonly HistoryEntry['status'][] = [
  'ok',
  'degraded',
  'failed',
  'busy',
  'skipped',
]

const parseEntry = (entry: unknown): HistoryEntry[] => {
  if (!Array.isArray(entry)) return []
  const [rawStatus, rawKind, at, durationSeconds] = entry as unknown[]
  const status = statuses.find(known => known === rawStatus)
  if (!status || typeof at !== 'number' || typeof durationSeconds !== 'number') return []
  const kind = status === 'ok' ? null : isKind(rawKind) ? rawKind : 'no_data'
  return [{ status, kind, at, durationSeconds, trends: {} }]
}
