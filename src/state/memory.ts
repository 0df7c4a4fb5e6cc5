import { createHash } from 'node:crypto'
import { kinds, type Kind } from '../diagnosis/kinds.ts'
import {
  states,
  type BuilderState,
  type Check,
  type Past,
  type ProbeName,
  type Snapshot,
  type State,
} from '../model.ts'

/** What is known of a builder from before the monitor was started. */
export interface Remembered {
  /** Of the machine line: another line is another builder. */
  readonly line: string
  readonly state: State
  readonly kind: string | null
  readonly since: number
  readonly past: Past
}

/** What says whether a builder takes work; readings begin anew with the monitor. */
const keptProbes: readonly ProbeName[] = ['login', 'trust', 'canary', 'direct']
const keptChecks = 60

/** What to keep of a snapshot, as JSON: verdicts with their age, and the course of the last checks. */
export const remember = ({ builders }: Snapshot): unknown =>
  [...builders.values()].map(({ builder, verdict, past }) => ({
    name: builder.name,
    line: digestOf(builder.line),
    state: verdict.state,
    kind: verdict.cause?.kind ?? null,
    since: verdict.since,
    past: Object.fromEntries(
      keptProbes.flatMap(probe => {
        const checks = past[probe]
        return checks ? [[probe, checks.map(entryOf)]] : []
      }),
    ),
  }))

/** Reads what `remember` kept, whatever it is by now; what is not as it should be is left out. */
export const recall = (kept: unknown): ReadonlyMap<string, Remembered> => {
  const past = new Map<string, Remembered>()
  for (const one of Array.isArray(kept) ? kept : []) {
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
    past.set(name, {
      line,
      state: known,
      kind: typeof kind === 'string' ? kind : null,
      since,
      past: pastOf(checks),
    })
  }
  return past
}

/** The state with which a builder begins when it was known before; as it is where it was not, or is another now. */
export const withPast = (
  state: BuilderState,
  past: Remembered | undefined,
  now: number,
): BuilderState =>
  !past || past.line !== digestOf(state.builder.line) || past.since > now
    ? state
    : {
        ...state,
        before: { state: past.state, kind: past.kind, since: past.since },
        past: past.past,
      }

const digestOf = (line: string): string =>
  createHash('sha256').update(line).digest('base64url').slice(0, 22)

const entryOf = ({ status, kind, at, durationSeconds }: Check) => [
  status,
  kind,
  Math.round(at),
  Number(durationSeconds.toFixed(3)),
]

const pastOf = (kept: unknown): Past => {
  if (typeof kept !== 'object' || kept === null) return {}
  const byProbe = kept as Readonly<Record<string, unknown>>
  return Object.fromEntries(
    keptProbes.flatMap(probe => {
      const entries = byProbe[probe]
      return Array.isArray(entries)
        ? [[probe, entries.slice(-keptChecks).flatMap(checkOf)]]
        : []
    }),
  )
}

const statuses: readonly Check['status'][] = [
  'ok',
  'degraded',
  'failed',
  'busy',
  'skipped',
]

const checkOf = (entry: unknown): Check[] => {
  if (!Array.isArray(entry)) return []
  const [said, kind, at, durationSeconds] = entry as unknown[]
  const status = statuses.find(one => one === said)
  if (!status || typeof at !== 'number' || typeof durationSeconds !== 'number') return []
  const known = isKind(kind) ? kind : 'not_told'
  return [
    { status, kind: status === 'ok' ? null : known, at, durationSeconds, levels: {} },
  ]
}

const isKind = (text: unknown): text is Kind =>
  typeof text === 'string' && Object.hasOwn(kinds, text)
