import { createHash } from 'node:crypto'
import {
  states,
  type BuilderState,
  type HistoryEntry,
  type History,
  type ProbeName,
  type Snapshot,
  type State,
  isKind,
} from '../model/index.ts'

/** What is known of a builder from before the monitor was started. */
export interface PersistedBuilder {
  /** Of the machine line: another line is another builder. */
  readonly line: string
  readonly state: State
  readonly kind: string | null
  readonly since: number
  readonly history: History
}

/** What says whether a builder takes work; readings begin anew with the monitor. */
const persistedProbes: readonly ProbeName[] = ['login', 'trust', 'canary', 'direct']
const maxEntries = 60

/** What to keep of a snapshot, as JSON: verdicts with their age, and the course of the last checks. */
export const serializeBuilders = ({ builders }: Snapshot): unknown =>
  [...builders.values()].map(({ builder, health, history }) => ({
    name: builder.name,
    line: digestOf(builder.line),
    state: health.state,
    kind: health.cause?.kind ?? null,
    since: health.since,
    history: Object.fromEntries(
      persistedProbes.flatMap(probe => {
        const checks = history[probe]
        return checks ? [[probe, checks.map(toTuple)]] : []
      }),
    ),
  }))

/** Reads what `remember` kept, whatever it is by now; what is not as it should be is left out. */
export const parseBuilders = (
  persisted: unknown,
): ReadonlyMap<string, PersistedBuilder> => {
  const history = new Map<string, PersistedBuilder>()
  for (const one of Array.isArray(persisted) ? persisted : []) {
    const {
      name,
      line,
      state,
      kind,
      since,
      past: checks,
    } = (one ?? {}) as Record<string, unknown>
    const known = states.find(known => known === state)
    if (typeof name !== 'string' || typeof line !== 'string' || !known) continue
    if (typeof since !== 'number' || !Number.isFinite(since)) continue
    history.set(name, {
      line,
      state: known,
      kind: typeof kind === 'string' ? kind : null,
      since,
      history: parseHistory(checks),
    })
  }
  return history
}

/** The state with which a builder begins when it was known before; as it is where it was not, or is another now. */
export const restoreBuilder = (
  state: BuilderState,
  history: PersistedBuilder | undefined,
  now: number,
): BuilderState =>
  !history || history.line !== digestOf(state.builder.line) || history.since > now
    ? state
    : {
        ...state,
        previousRun: { state: history.state, kind: history.kind, since: history.since },
        history: history.history,
      }

const digestOf = (line: string): string =>
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
  const [rawStatus, kind, at, durationSeconds] = entry as unknown[]
  const status = statuses.find(one => one === rawStatus)
  if (!status || typeof at !== 'number' || typeof durationSeconds !== 'number') return []
  const known = isKind(kind) ? kind : 'no_data'
  return [
    { status, kind: status === 'ok' ? null : known, at, durationSeconds, trends: {} },
  ]
}
