import type { ActiveBuilders, ClientOutcome, HostKeySeen } from '../../model.ts'
import type { Kind, Params } from '../../diagnosis/kinds.ts'
import type { CanaryDeps } from '../canary.ts'
import type { Machine } from './machine.ts'
import type { AskSsh } from './parity.ts'

/** What the checks of one look share. */
export interface ClientContext {
  readonly active: ActiveBuilders
  readonly env: Readonly<Record<string, string | undefined>>
  readonly machine: Machine
  /** What the local nix-daemon says; asked once. */
  readonly daemon: Awaited<ReturnType<CanaryDeps['askLocalDaemon']>>
  /** Absent where there is no ssh to ask. */
  readonly askSsh?: AskSsh
  /** The host keys that the newest logins saw, by builder. */
  readonly hostKeys: HostKeys
  readonly signal: AbortSignal
}

export type HostKeys = Promise<ReadonlyMap<string, HostKeySeen>>

export const ok: ClientOutcome = { status: 'ok' }

export const found = (
  status: 'degraded' | 'failed' | 'skipped',
  kind: Kind,
  params: Params = {},
): ClientOutcome => ({ status, kind, params })
