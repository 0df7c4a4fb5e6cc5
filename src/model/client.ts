import type { Kind, Params } from './kind.ts'

export const clientChecks = [
  'config',
  'settings',
  'capacity',
  'hook',
  'substituters',
  'daemon',
  'trust',
  'ssh',
  'identity',
  'keys',
  'disk',
  'memory',
  'network',
  'canary',
] as const
export type ClientCheck = (typeof clientChecks)[number]
/** The checks that ask this machine. `canary` follows from the canaries of all builders. */
export type LocalCheck = Exclude<ClientCheck, 'canary'>

/** The result of one client check. `failed`: this machine cannot send builds. `skipped`: not checked. */
export type ClientOutcome =
  | {
      readonly status: 'ok'
      /** What was found, where that is worth showing: the user whose ssh builds use. */
      readonly note?: string
    }
  | {
      readonly status: 'degraded' | 'failed' | 'skipped'
      readonly kind: Kind
      readonly params: Params
    }

/** Whether this machine can send builds. */
export interface ClientState {
  /** Unix seconds. */
  readonly at: number
  readonly checks: Readonly<Record<LocalCheck, ClientOutcome>>
  /** Absent where they are not known. */
  readonly sshTimeouts?: SshTimeouts
}

/** The timeouts of the ssh that Nix runs. */
export interface SshTimeouts {
  /** The user of nix-daemon; null for ours. */
  readonly user: string | null
  /** False if the NIX_SSHOPTS of nix-daemon could not be read. */
  readonly isEnvironmentKnown: boolean
  /** In seconds, null for none. */
  readonly builders: readonly {
    readonly builder: string
    readonly connectTimeout: number | null
    readonly serverAliveInterval: number | null
  }[]
}
