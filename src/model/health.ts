import type { Kind, Params } from './kind.ts'
import type { ProbeName } from './outcomes.ts'

export const states = [
  'healthy',
  'degraded',
  'down',
  'unknown',
  'asleep',
  'drained',
] as const
export type State = (typeof states)[number]

/** The one problem that explains the state. */
export interface Cause {
  /** `config` when the builders list itself is invalid. */
  readonly probe: ProbeName | 'config'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
}

/** Debounced state of a builder. Times are Unix seconds. */
export interface Health {
  readonly state: State
  readonly cause: Cause | null
  readonly since: number
  readonly changes: number
  readonly flapping: boolean
  /** True when a canary (or a direct build) succeeded since the last change of state. */
  readonly verified: boolean
}

/** A state and its cause, before debouncing. */
export type Diagnosis = Pick<Health, 'state' | 'cause'>
