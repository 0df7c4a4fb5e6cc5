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

/** The one thing that is wrong. */
export interface Cause {
  /** `config` where the builders list itself is at fault. */
  readonly probe: ProbeName | 'config'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
}

/** Damped state of a builder. Times are Unix seconds. */
export interface Health {
  readonly state: State
  readonly cause: Cause | null
  readonly since: number
  readonly changes: number
  readonly flapping: boolean
  /** True once a canary succeeded since the last change. */
  readonly verified: boolean
}

/** A state and its one cause, before damping. */
export type Diagnosis = Pick<Health, 'state' | 'cause'>
