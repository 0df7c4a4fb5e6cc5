import type { Kind, Params } from './kind.ts'

export const clientChecks = [
  'config',
  'daemon',
  'trust',
  'ssh',
  'identity',
  'keys',
  'disk',
  'memory',
  'network',
] as const
export type ClientCheck = (typeof clientChecks)[number]

/** What a look at this machine found. `failed` means that it cannot send builds; `skipped` tells nothing. */
export type ClientOutcome =
  | { readonly status: 'ok' }
  | {
      readonly status: 'degraded' | 'failed' | 'skipped'
      readonly kind: Kind
      readonly params: Params
    }

/** Is this machine fit to send builds? */
export interface ClientState {
  /** Unix seconds. */
  readonly at: number
  readonly checks: Readonly<Record<ClientCheck, ClientOutcome>>
}
