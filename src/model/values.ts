import type { Kind } from './kind.ts'
import type { ProbeName, Result } from './outcomes.ts'

/** Seconds spent in each phase of a fresh login, as far as it came. */
export type LoginPhase = 'dns' | 'tcp' | 'banner' | 'kex' | 'auth' | 'channel'

export interface LoginValue {
  readonly phases: Readonly<Partial<Record<LoginPhase, number>>>
  /** `address:port` that answered, or the proxy that was used. */
  readonly via: string | null
  /** How the host key was verified; null when it was not reached. */
  readonly hostKey: HostKeyInfo | null
  /** `ssh2`, or `openssh` where only the real ssh can log in. */
  readonly transport: 'ssh2' | 'openssh'
  /** Addresses that did not answer before the one that did. */
  readonly unreachableAddresses: readonly string[]
  /** `host:port` that ssh connects to, with the jump host behind which it is: the same for lines of one host. */
  readonly endpoint: string
  /** SSH certificates: ours that ssh would offer, and those of hosts as far as they were presented to the real ssh. */
  readonly certificates: readonly CertificateInfo[]
}

export interface CertificateInfo {
  readonly role: 'user' | 'host'
  /** The file, `agent`, or `sshd` for what a host presented. */
  readonly source: string
  /** Unix seconds; null where it is valid from the beginning, or for ever. */
  readonly validFrom: number | null
  readonly validUntil: number | null
}

export interface HostKeyInfo {
  /** `ssh-ed25519`, ... */
  readonly type: string
  /** `SHA256:...` as ssh prints it. */
  readonly fingerprint: string
  /** The key blob, base64: what a known_hosts line carries. */
  readonly blob: string
  /** The host name under which ssh looks for the key, lower case and without a port. */
  readonly hostKeyName?: string
  readonly verifiedBy: 'pinned' | 'known_hosts' | 'ca' | 'none'
}

export interface TrustValue {
  readonly protocol: 'worker' | 'serve'
  /** Negotiated version, `1.35`. */
  readonly protocolVersion: string
  /** Nix version of the remote, null where the protocol does not tell. */
  readonly nixVersion: string | null
  readonly trusted: boolean | null
  /** How trust was learned: the handshake flag, the empty-repair question, or not at all. */
  readonly trustSource: 'handshake' | 'repair_query' | null
}

export interface SystemValue {
  readonly nixVersion: string | null
  /** `system` and `extra-platforms` of the remote Nix; empty when it would not tell. */
  readonly systems: readonly string[]
  readonly features: readonly string[]
  readonly maxJobs: number | null
  readonly buildUsers: number | null
  readonly sandbox: string | null
  readonly cores: number | null
  /** Bytes; null when not told. Above 2^53 they are rounded. */
  readonly minFree: number | null
  readonly maxFree: number | null
  /** Remote minus local clock, seconds; the error is at most the round trip. */
  readonly clockOffsetSeconds: number | null
  /** Unix time. */
  readonly bootedAt: number | null
  /** Unix time at which we noticed that it had been restarted; null while that never was. */
  readonly rebootDetectedAt: number | null
  readonly kernel: string | null
  /** False where allowed-users and trusted-users both leave our user out; null when not told. */
  readonly isAllowedUser: boolean | null
  readonly missingSystems: readonly string[]
  readonly missingFeatures: readonly string[]
  readonly notAdvertisedFeatures: readonly string[]
}

/** One watched filesystem of a builder. */
export interface FilesystemValue {
  readonly path: string
  readonly availableBytes: number
  readonly sizeBytes: number
  /** null where the filesystem has no limit. */
  readonly availableInodes: number | null
}

export interface DiskValue {
  readonly store: FilesystemValue
  /** Build directory and state directory, where they are other filesystems than could be asked. */
  readonly build: FilesystemValue | null
  readonly state: FilesystemValue | null
  /** 0 is auto-GC off, null is unknown. */
  readonly minFree: number | null
  readonly maxFree: number | null
  /** Unix time since when the store is below min-free, null while it is not. */
  readonly belowMinFreeSince: number | null
}

export interface MemoryValue {
  readonly availableBytes: number | null
  readonly sizeBytes: number | null
  /** PSI `full total` in seconds, null without PSI. */
  readonly stalledSeconds: number | null
  /** Mean number of tasks that ran or waited to, over the last minute. */
  readonly load: number | null
  readonly daemonBytes: number | null
  readonly daemonLimitBytes: number | null
  readonly daemonOomKills: number | null
}

/** What builds wait for on the builder itself, whoever sends them. */
export interface LocksValue {
  /** Unix time of the look. */
  readonly at: number
  /** Who holds the garbage collector's lock for itself alone; null while nobody does, as far as we may see. */
  readonly gcLockHolder: null | {
    readonly pid: number
    /** Its command line; null where we may not read it. */
    readonly program: string | null
    readonly runtimeSeconds: number | null
    /** Unix time of the first of our looks, in a row, that saw it. */
    readonly since: number
  }
  readonly buildUsersInUse: number
  /** null where they are made when needed, or their number is not known. */
  readonly buildUsers: number | null
}

export interface CanaryRun {
  readonly system: string
  readonly feature?: string
  readonly mode: 'private' | 'daemon' | 'direct'
  /** Host name that the build wrote into its output, or null when it could not say. */
  readonly builtBy: string | null
  readonly durationSeconds: number
  readonly phases: Readonly<
    Partial<Record<'connect' | 'copy' | 'build' | 'copy_back', number>>
  >
  /** False where `builtin:buildenv` had to stand in for /bin/sh: system and features were not proven. */
  readonly systemVerified: boolean
  readonly outcome: 'ok' | 'failed' | 'busy'
  readonly kind?: Kind
}

export interface CanaryValue {
  readonly runs: readonly CanaryRun[]
}

/** What this client holds of a builder, as its lock files tell. */
export interface SlotsValue {
  /** maxJobs of the machine line. */
  readonly configured: number
  readonly inUse: readonly {
    readonly slot: number
    /** The build hook that holds it. */
    readonly pid: number
    /** Unix time. */
    readonly since: number
    /** Whether it still has an ssh, and the processor time of both; looked at where a slot is held for long. */
    readonly hasSsh?: boolean
    readonly cpuSeconds?: number
  }[]
  readonly oldestAcquiredAt: number | null
  /** Who copies inputs to the builder, and who waits to. */
  readonly upload: { readonly holder: number | null; readonly queue: readonly number[] }
  /** False in a container: what processes outside of it hold is not shown. */
  readonly seesAllNamespaces: boolean
}

/** The value that each probe yields. */
export interface ProbeValues {
  readonly login: LoginValue
  readonly trust: TrustValue
  readonly system: SystemValue
  readonly disk: DiskValue
  readonly memory: MemoryValue
  readonly locks: LocksValue
  readonly canary: CanaryValue
  readonly direct: CanaryValue
  readonly slots: SlotsValue
}

/** The newest results of a builder, by probe. */
export type Results = { readonly [P in ProbeName]?: Result<ProbeValues[P]> }
