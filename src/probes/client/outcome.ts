import type { ActiveBuilders, ClientOutcome, HostKeyInfo } from '../../model/index.ts'
import type { Kind, Params } from '../../diagnosis/kinds.ts'
import type { CanaryDeps } from '../canary.ts'
import type { LocalSystem } from './local-system.ts'
import type { ResolveSshConfigAs } from './ssh-parity.ts'

/** What the checks of one look share. */
export interface ClientContext {
  readonly active: ActiveBuilders
  readonly env: Readonly<Record<string, string | undefined>>
  readonly localSystem: LocalSystem
  /** What the local nix-daemon says; asked once. */
  readonly daemon: Awaited<ReturnType<CanaryDeps['askLocalDaemon']>>
  /** Absent where there is no ssh to ask. */
  readonly resolveSshConfigAs?: ResolveSshConfigAs
  /** The host keys that the newest logins saw, by builder. */
  readonly hostKeys: HostKeys
  readonly signal: AbortSignal
}

export type HostKeys = Promise<ReadonlyMap<string, HostKeyInfo>>

export const ok: ClientOutcome = { status: 'ok' }

export const outcome = (
  status: 'degraded' | 'failed' | 'skipped',
  kind: Kind,
  params: Params = {},
): ClientOutcome => ({ status, kind, params })
