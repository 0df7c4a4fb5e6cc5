import { createHash } from 'node:crypto'
import { kinds, type Kind } from '../diagnosis/kinds.ts'
import {
  probeNames,
  type BuilderState,
  type Result,
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
  readonly history: readonly Result[]
}

const states: readonly State[] = [
  'healthy',
  'degraded',
  'down',
  'unknown',
  'asleep',
  'drained',
]

/** What to keep of a snapshot, as JSON: verdicts with their age, and the course of the last checks without values. */
export const remember = ({ builders }: Snapshot): unknown =>
  [...builders.values()].map(({ builder, verdict, history }) => ({
    name: builder.name,
    line: digestOf(builder.line),
    state: verdict.state,
    kind: verdict.cause?.kind ?? null,
    since: verdict.since,
    history: history.map(({ probe, outcome, at, durationSeconds }) => [
      probe,
      outcome.status,
      'kind' in outcome ? outcome.kind : null,
      at,
      durationSeconds,
    ]),
  }))

/** Reads what `remember` kept, whatever it is by now; what is not as it should be is left out. */
export const recall = (kept: unknown): ReadonlyMap<string, Remembered> => {
  const past = new Map<string, Remembered>()
  for (const one of Array.isArray(kept) ? kept : []) {
    const { name, line, state, kind, since, history } = (one ?? {}) as Record<
      string,
      unknown
    >
    const known = states.find(known => known === state)
    if (typeof name !== 'string' || typeof line !== 'string' || !known) continue
    if (typeof since !== 'number' || !Number.isFinite(since)) continue
    past.set(name, {
      line,
      state: known,
      kind: typeof kind === 'string' ? kind : null,
      since,
      history: (Array.isArray(history) ? history : []).slice(-60).flatMap(resultOf),
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
        history: past.history,
      }

const digestOf = (line: string): string =>
  createHash('sha256').update(line).digest('base64url').slice(0, 22)

const resultOf = (entry: unknown): Result[] => {
  if (!Array.isArray(entry)) return []
  const [probe, status, kind, at, durationSeconds] = entry as unknown[]
  const name = probeNames.find(name => name === probe)
  if (!name || typeof at !== 'number' || typeof durationSeconds !== 'number') return []
  const result = { probe: name, at, durationSeconds }
  if (status === 'ok') return [{ ...result, outcome: { status, value: undefined } }]
  const known = isKind(kind) ? kind : 'not_told'
  if (status === 'degraded')
    return [{ ...result, outcome: { status, value: undefined, kind: known, params: {} } }]
  if (status === 'failed' || status === 'busy' || status === 'skipped')
    return [{ ...result, outcome: { status, kind: known, params: {} } }]
  return []
}

const isKind = (text: unknown): text is Kind =>
  typeof text === 'string' && Object.hasOwn(kinds, text)
