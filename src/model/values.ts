import type { Kind } from './kind.ts'
import type { ProbeName, Result } from './outcomes.ts'

/** Phases of a login. */
export type LoginPhase = 'dns' | 'tcp' | 'banner' | 'kex' | 'auth' | 'channel'

export interface LoginValue {
  /** Seconds spent in each phase that was reached. */
  readonly phases: Readonly<Partial<Record<LoginPhase, number>>>
  /** `address:port` of the connection, or the proxy that was used. */
  readonly via: string | null
  /** The host key and how it was verified. Null when the key exchange was not reached. */
  readonly hostKey: HostKeyInfo | null
  /** `ssh2`, or `openssh` when only OpenSSH can log in. */
  readonly transport: 'ssh2' | 'openssh'
  /** Addresses that were tried before the one that answered. */
  readonly unreachableAddresses: readonly string[]
  /** `host:port` that ssh connects to, with its jump host. Equal for machine lines of the same host. */
  readonly endpoint: string
  /** User certificates that ssh would offer, and host certificates as far as OpenSSH reported them. */
  readonly certificates: readonly CertificateInfo[]
  /** The file of the key that the server accepted, or `agent`. Absent before a login, and where OpenSSH logged in. */
  readonly identity?: string
}

export interface CertificateInfo {
  readonly role: 'user' | 'host'
  /** The file, `agent`, or `sshd` for a host certificate. */
  readonly source: string
  /** Unix seconds. Null for no limit. */
  readonly validFrom: number | null
  readonly validUntil: number | null
  /** The names for which it is valid; empty for all. Absent where they are not known. */
  readonly principals?: readonly string[]
}

export interface HostKeyInfo {
  /** `ssh-ed25519`, ... */
  readonly type: string
  /** `SHA256:...` as ssh prints it. */
  readonly fingerprint: string
  /** The key blob in base64, as in a known_hosts line. */
  readonly blob: string
  /** The name under which ssh searches for the key: lower case, without a port. */
  readonly hostKeyName?: string
  readonly verifiedBy: 'pinned' | 'known_hosts' | 'ca' | 'none'
}

export interface TrustValue {
  readonly protocol: 'worker' | 'serve'
  /** Negotiated version, `1.35`. */
  readonly protocolVersion: string
  /** Nix version of the remote. Null when the protocol does not report it. */
  readonly nixVersion: string | null
  readonly trusted: boolean | null
  /** How trust was determined: the flag of the handshake, a repair of no paths, or not at all. */
  readonly trustSource: 'handshake' | 'repair_query' | null
}

export interface SystemValue {
  readonly nixVersion: string | null
  /** The version of Determinate Nix; null for other vendors. */
  readonly determinateVersion: string | null
  /** `system` and `extra-platforms` of the remote Nix. Empty when not reported. */
  readonly systems: readonly string[]
  readonly features: readonly string[]
  readonly maxJobs: number | null
  readonly buildUsers: number | null
  readonly sandbox: string | null
  readonly cores: number | null
  /** Bytes. Null when not reported. Rounded above 2^53. */
  readonly minFree: number | null
  readonly maxFree: number | null
  /** Remote minus local clock, seconds. The error is at most the round trip. */
  readonly clockOffsetSeconds: number | null
  /** Unix time. */
  readonly bootedAt: number | null
  /** Unix time at which a reboot was detected. Null when there was none. */
  readonly rebootDetectedAt: number | null
  readonly kernel: string | null
  /** False when neither allowed-users nor trusted-users include our user. Null when not reported. */
  readonly isAllowedUser: boolean | null
  /** True when its store is the store of this machine. Null when not reported. */
  readonly isOwnStore: boolean | null
  /** Names of variables of the remote shell, and of settings, with which Nix uses another store, daemon or configuration. */
  readonly redirectedBy: readonly string[]
  readonly missingSystems: readonly string[]
  readonly missingFeatures: readonly string[]
  readonly notAdvertisedFeatures: readonly string[]
}

/** One watched filesystem of a builder. */
export interface FilesystemValue {
  readonly path: string
  readonly availableBytes: number
  readonly sizeBytes: number
  /** Null when the filesystem has no limit. */
  readonly availableInodes: number | null
}

export interface DiskValue {
  readonly store: FilesystemValue
  /** Build directory and state directory. Null when they are on the same filesystem as the store. */
  readonly build: FilesystemValue | null
  readonly state: FilesystemValue | null
  /** The directory of build logs. */
  readonly log: FilesystemValue | null
  /** 0: automatic garbage collection is off. Null: unknown. */
  readonly minFree: number | null
  readonly maxFree: number | null
  /** Unix time since when the store is below min-free. Null while it is not. */
  readonly belowMinFreeSince: number | null
}

export interface MemoryValue {
  readonly availableBytes: number | null
  readonly sizeBytes: number | null
  /** PSI `full total` in seconds. Null without PSI. */
  readonly stalledSeconds: number | null
  /** Load average of the last minute. */
  readonly load: number | null
  readonly daemonBytes: number | null
  readonly daemonLimitBytes: number | null
  readonly daemonOomKills: number | null
}

/** Locks on the builder that builds of any client wait for. */
export interface LocksValue {
  /** Unix time of the reading. */
  readonly at: number
  /** The process that holds the garbage collector's lock exclusively. Null when none does, as far as we can see. */
  readonly gcLockHolder: null | {
    readonly pid: number
    /** Its command line. Null when it is not readable. */
    readonly program: string | null
    readonly runtimeSeconds: number | null
    /** Unix time of the first of the consecutive readings that saw it. */
    readonly since: number
  }
  /** The process that holds the lock of the whole store or of its database. Null when none does, as far as we can see. */
  readonly storeLockHolder: null | {
    readonly pid: number
    readonly program: string | null
    readonly runtimeSeconds: number | null
    readonly path: string
  }
  readonly buildUsersInUse: number
  /** Null when they are allocated on demand, or their number is unknown. */
  readonly buildUsers: number | null
}

/** Processes of Nix's remote protocols on the builder, of all clients. */
export interface SessionsValue {
  readonly sessions: number
  /** Sessions without an ssh server among their parents, at most 20; `seconds`: age. */
  readonly orphans: readonly { readonly pid: number; readonly seconds: number }[]
  readonly orphanCount: number
}

/** The http substituters of the builder's own Nix. */
export interface SubstitutersValue {
  readonly checked: readonly {
    /** Without user, password and parameters. */
    readonly url: string
    /** Why it does not answer; null when it does. */
    readonly reason: string | null
  }[]
}

/** The link to the builder. Rates in bytes per second; null if a direction was not measured. */
export interface ThroughputValue {
  readonly roundTripSeconds: number
  readonly upload: number | null
  readonly download: number | null
  /** Lower rates are slow; 0 for no limit. */
  readonly limit: number
  /** Average of about a day, without slow measurements. */
  readonly usual: { readonly upload: number | null; readonly download: number | null }
}

export interface CanaryRun {
  readonly system: string
  readonly feature?: string
  readonly mode: 'private' | 'daemon' | 'direct'
  /** Host name that the build wrote into its output. Null when it could not. */
  readonly builtBy: string | null
  readonly durationSeconds: number
  readonly phases: Readonly<
    Partial<Record<'connect' | 'copy' | 'build' | 'copy_back', number>>
  >
  /** False when `builtin:buildenv` was built instead of /bin/sh: system and features are not verified. */
  readonly systemVerified: boolean
  readonly outcome: 'ok' | 'failed' | 'busy'
  readonly kind?: Kind
}

export interface CanaryValue {
  readonly runs: readonly CanaryRun[]
}

/** Slots of a builder that this client holds, from Nix's lock files. */
export interface SlotsValue {
  /** maxJobs of the machine line. */
  readonly configured: number
  readonly inUse: readonly {
    readonly slot: number
    /** The build hook that holds it. */
    readonly pid: number
    /** Unix time. */
    readonly since: number
    /** Whether the hook still has an ssh process, and the CPU time of both. Read only for slots held for long. */
    readonly hasSsh?: boolean
    readonly cpuSeconds?: number
  }[]
  readonly oldestAcquiredAt: number | null
  /** PIDs of the process that holds the upload lock and of those that wait for it. */
  readonly upload: { readonly holder: number | null; readonly queue: readonly number[] }
  /** False in a container, where locks of processes outside of it are not visible. */
  readonly seesAllNamespaces: boolean
}

/** The value type of each probe. */
export interface ProbeValues {
  readonly login: LoginValue
  readonly trust: TrustValue
  readonly system: SystemValue
  readonly disk: DiskValue
  readonly memory: MemoryValue
  readonly locks: LocksValue
  readonly sessions: SessionsValue
  readonly substituters: SubstitutersValue
  readonly throughput: ThroughputValue
  readonly canary: CanaryValue
  readonly direct: CanaryValue
  readonly slots: SlotsValue
}

/** The newest results of a builder, by probe. */
export type Results = { readonly [P in ProbeName]?: Result<ProbeValues[P]> }
