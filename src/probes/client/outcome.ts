import type {
  ActiveBuilders,
  CheckSshConfig,
  AskSubstituter,
  ClientOutcome,
  LoginValue,
  LocalDaemon,
  ResolveSshConfigAs,
  Kind,
  Params,
  Run,
} from '../../model/index.ts'
import type { LocalSystem } from './local-system.ts'

/** Input shared by all client checks of one run. */
export interface ClientContext {
  readonly active: ActiveBuilders
  readonly env: Readonly<Record<string, string | undefined>>
  readonly localSystem: LocalSystem
  /** Answer of the local nix-daemon, asked once per run. */
  readonly daemon: LocalDaemon
  /** Absent in the demo, which has no ssh program. */
  readonly resolveSshConfigAs?: ResolveSshConfigAs
  /** Absent in the demo. */
  readonly checkSshConfig?: CheckSshConfig
  /** Absent where no program is run and no cache is asked: in tests of other checks. */
  readonly run?: Run
  readonly askSubstituter?: AskSubstituter
  /** Host keys of the newest logins, by builder name. */
  readonly logins: KnownLogins
  readonly signal: AbortSignal
}

export type KnownLogins = Promise<ReadonlyMap<string, KnownLogin>>

/** What a login showed: the host key, and the key that the builder accepted. */
export type KnownLogin = Pick<LoginValue, 'hostKey' | 'identity'>

export const ok: ClientOutcome = { status: 'ok' }

export const outcome = (
  status: 'degraded' | 'failed' | 'skipped',
  kind: Kind,
  params: Params = {},
): ClientOutcome => ({ status, kind, params })
