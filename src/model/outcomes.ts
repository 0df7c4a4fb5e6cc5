import type { Kind, Params } from './kind.ts'

export const probeNames = [
  'login',
  'trust',
  'system',
  'disk',
  'memory',
  'locks',
  'sessions',
  'substituters',
  'throughput',
  'canary',
  'direct',
  'slots',
] as const
export type ProbeName = (typeof probeNames)[number]

/**
 * What an attempt found. Expected failures are values. All but `ok` carry a kind and its parameters; the message and
 * the fixes belong to the kind. `evidence` is remote text, sanitized and capped, but still untrusted.
 */
export type Outcome<T = unknown> =
  | { readonly status: 'ok'; readonly value: T }
  | {
      readonly status: 'degraded'
      readonly value: T
      readonly kind: Kind
      readonly params: Params
      readonly evidence?: string
    }
  | {
      readonly status: 'failed'
      readonly kind: Kind
      readonly params: Params
      readonly evidence?: string
      /** What was measured before the failure (phases of a login, runs of a canary). */
      readonly value?: T
    }
  | { readonly status: 'busy'; readonly kind: Kind; readonly params: Params }
  | { readonly status: 'skipped'; readonly kind: Kind; readonly params: Params }

/** A failure without a measurement. */
export type Failure = Extract<Outcome<never>, { status: 'failed' }>

/** One attempt of one probe. */
export interface Result<T = unknown> {
  readonly probe: ProbeName
  readonly outcome: Outcome<T>
  /** Unix time in seconds at the end of the attempt. */
  readonly at: number
  readonly durationSeconds: number
}

/** True if the attempt measured something: its outcome is ok or degraded. */
export const isSuccess = ({ outcome }: Result): boolean =>
  outcome.status === 'ok' || outcome.status === 'degraded'
