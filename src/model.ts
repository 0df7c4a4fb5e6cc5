/**
 * The hall of the house: the words every room speaks, and the ports that tests replace. Types only.
 *
 * - *builder*: one machine line of the active `builders` setting, as Nix would use it.
 * - *probe*: one question to a builder. *attempt*: one run of a probe. *outcome*: its answer. *result*: the answer
 *   with its times.
 * - *kind*: the closed name of what is wrong (diagnosis/kinds.ts); it owns the sentence, the side and the hint.
 * - *verdict*: the damped state of a builder, with one cause. *snapshot*: everything known at one moment.
 * - *remote*: a logged-in connection that opens channels. *run*: a local process.
 * - *trace*: the course of one attempt, step by step, for who looks for a fault.
 */
import type { Readable, Writable } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import type { Kind, Params } from './diagnosis/kinds.ts'

/** One machine line of the active `builders`, with the defaults that Nix applies (machines.cc parseBuilderLine). */
export interface Builder {
  /** Unique and stable: the host, with more of the URI only where two lines collide. */
  readonly name: string
  /** As written, with the scheme added where the line has none. */
  readonly storeUri: string
  /** `ssh`, `ssh-ng`, `local`, `unix`, ...: what stands before `://`. */
  readonly scheme: string
  readonly user: string | null
  /** Without brackets for IPv6; null for local stores. */
  readonly host: string | null
  readonly port: number | null
  /** Query parameters of the store URI, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly systems: readonly string[]
  readonly sshKey: string | null
  /** The copy of that key which systemd gave us; absent where the key itself is read. */
  readonly credential?: string
  /** Slots; an unsigned 32-bit number, 0 means never free. */
  readonly maxJobs: number
  readonly speedFactor: number
  readonly supportedFeatures: readonly string[]
  readonly mandatoryFeatures: readonly string[]
  /** Base64 of the public host key line, as written. */
  readonly publicHostKey: string | null
  readonly origin: Origin
  /** The machine line itself, one line, ready for `--builders`. */
  readonly line: string
  /** The key of the machine in a TOML list of Lix; absent where it is written as a line. */
  readonly tomlName?: string
}

/** Where something was read: a file (or `NIX_CONFIG`, `builders` setting ...) and a 1-based line. */
export interface Origin {
  readonly file: string
  readonly line: number
}

/** Something wrong with what we read; `message` says what, and what Nix does about it. */
export interface Problem extends Origin {
  readonly message: string
  /** True where Nix itself fails every build (or every command) for it; absent where only a part is lost. */
  readonly stopsBuilds?: boolean
}

/** The answer to "which builders does this Nix use". */
export interface ActiveBuilders {
  /** `nix` when Nix told us, `files` when we read its files ourselves, `demo` for the embedded fleet. */
  readonly source: 'nix' | 'files' | 'demo'
  readonly builders: readonly Builder[]
  readonly problems: readonly Problem[]
  /** Every file that was read or looked for: a change of one means reading again. */
  readonly files: readonly string[]
  /** What else of the local Nix the probes need. */
  readonly nix: LocalNix
}

/** The Nix of this machine. */
export interface LocalNix {
  /** `2.26.3`, or null where there is no nix. */
  readonly version: string | null
  /** The `system` setting, for example `x86_64-linux`. */
  readonly system: string
  /** Settings by name, as text; those that nobody told are absent. Only what findings and checks need. */
  readonly settings?: Readonly<Record<string, LocalSetting>>
  /** nix.conf of the system, and what it includes. */
  readonly configFiles?: readonly string[]
  /** Places of the builders list that this Nix reads otherwise than people do. */
  readonly traps?: readonly Trap[]
}

export interface LocalSetting {
  readonly value: string
  /** null where Nix told the value and we do not know from where. */
  readonly origin: Origin | null
}

/** `blank`: a line of blanks is a broken machine. `comment`: what follows `;` in a comment is a machine. */
export interface Trap extends Origin {
  readonly kind: 'blank' | 'comment'
  /** What Nix takes for a machine line. */
  readonly text: string
}

/** Advice about the configuration: nothing is broken by it now. */
export interface Finding {
  /** Absent where it is about this machine. */
  readonly builder?: string
  /** Closed set of diagnosis/lint.ts. */
  readonly rule: string
  readonly message: string
  /** The exact line to write. */
  readonly fix: string
}

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

export const probeNames = [
  'login',
  'trust',
  'system',
  'disk',
  'memory',
  'locks',
  'canary',
  'direct',
  'slots',
] as const
export type ProbeName = (typeof probeNames)[number]

/**
 * What an attempt found. Expected failures are values. `degraded` and `failed` carry the kind and its parameters; the
 * sentence and the hint belong to the kind. `evidence` is raw remote text: cleaned and capped, still untrusted.
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
      /** What was learned before the failure (phases of a login, runs of a canary). */
      readonly value?: T
    }
  | { readonly status: 'busy'; readonly kind: Kind; readonly params: Params }
  | { readonly status: 'skipped'; readonly kind: Kind; readonly params: Params }

/** One attempt of one probe. */
export interface Result<T = unknown> {
  readonly probe: ProbeName
  readonly outcome: Outcome<T>
  /** Unix time in seconds at the end of the attempt. */
  readonly at: number
  readonly durationSeconds: number
}

/** Seconds spent in each phase of a fresh login, as far as it came. */
export type LoginPhase = 'dns' | 'tcp' | 'banner' | 'kex' | 'auth' | 'channel'

export interface LoginValue {
  readonly phases: Readonly<Partial<Record<LoginPhase, number>>>
  /** `address:port` that answered, or the proxy that was used. */
  readonly via: string | null
  /** How the host key was verified; null when it was not reached. */
  readonly hostKey: HostKeySeen | null
  /** `ssh2`, or `openssh` where only the real ssh can log in. */
  readonly transport: 'ssh2' | 'openssh'
  /** Addresses that did not answer before the one that did. */
  readonly deadAddresses: readonly string[]
  /** `host:port` that ssh connects to, with the jump host behind which it is: the same for lines of one host. */
  readonly endpoint: string
  /** SSH certificates: ours that ssh would offer, and those of hosts as far as they were presented to the real ssh. */
  readonly certificates: readonly CertificateSeen[]
}

export interface CertificateSeen {
  readonly role: 'user' | 'host'
  /** The file, `agent`, or `sshd` for what a host presented. */
  readonly source: string
  /** Unix seconds; null where it is valid from the beginning, or for ever. */
  readonly validFrom: number | null
  readonly validUntil: number | null
}

export interface HostKeySeen {
  /** `ssh-ed25519`, ... */
  readonly type: string
  /** `SHA256:...` as ssh prints it. */
  readonly fingerprint: string
  /** The key blob, base64: what a known_hosts line carries. */
  readonly blob: string
  /** The host name under which ssh looks for the key, lower case and without a port. */
  readonly knownAs?: string
  readonly verifiedBy: 'pinned' | 'known_hosts' | 'ca' | 'nothing'
}

export interface TrustValue {
  readonly protocol: 'worker' | 'serve'
  /** Negotiated version, `1.35`. */
  readonly protocolVersion: string
  /** Nix version of the remote, null where the protocol does not tell. */
  readonly nixVersion: string | null
  readonly trusted: boolean | null
  /** How trust was learned: the handshake flag, the empty-repair question, or not at all. */
  readonly trustBy: 'flag' | 'repair' | null
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
  readonly restartSeenAt: number | null
  readonly kernel: string | null
  /** False where allowed-users and trusted-users both leave our user out; null when not told. */
  readonly mayConnect: boolean | null
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
  readonly daemonBytes: number | null
  readonly daemonLimitBytes: number | null
  readonly daemonOomKills: number | null
}

/** What builds wait for on the builder itself, whoever sends them. */
export interface LocksValue {
  /** Unix time of the look. */
  readonly at: number
  /** Who holds the garbage collector's lock for itself alone; null while nobody does, as far as we may see. */
  readonly collector: null | {
    readonly pid: number
    /** Its command line; null where we may not read it. */
    readonly program: string | null
    readonly runsForSeconds: number | null
    /** Unix time of the first of our looks, in a row, that saw it. */
    readonly seenSince: number
  }
  readonly buildUsersHeld: number
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
  readonly systemProven: boolean
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
  readonly held: readonly {
    readonly slot: number
    /** The build hook that holds it. */
    readonly pid: number
    /** Unix time. */
    readonly since: number
    /** Whether it still has an ssh, and the processor time of both; looked at where a slot is held for long. */
    readonly hasSsh?: boolean
    readonly cpuSeconds?: number
  }[]
  readonly oldestSince: number | null
  /** Who copies inputs to the builder, and who waits to. */
  readonly upload: { readonly holder: number | null; readonly waiting: readonly number[] }
  /** False in a container: what processes outside of it hold is not shown. */
  readonly seesAll: boolean
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
export interface Verdict {
  readonly state: State
  readonly cause: Cause | null
  readonly since: number
  readonly changes: number
  readonly flapping: boolean
  /** True once a canary succeeded since the last change. */
  readonly proven: boolean
}

/** A state and its one cause, before damping. */
export type Diagnosis = Pick<Verdict, 'state' | 'cause'>

/** What is counted and remembered of one probe of one builder. */
export interface ProbeRecord<T = unknown> {
  readonly last: Result<T>
  /** The newest attempt that told something: ok, degraded or failed. busy and skipped only age the proof. */
  readonly conclusive: Result<T> | null
  /** The newest ok or degraded attempt; its value is the newest measurement. */
  readonly lastGood: Result<T> | null
  /** busy and skipped attempts do not count. */
  readonly attempts: number
  readonly failures: number
  /** Conclusive attempts of the same luck in a row, the newest included, and the time of the first of them. */
  readonly streak: {
    readonly good: boolean
    readonly count: number
    readonly since: number
  }
}

export type ProbeRecords = { readonly [P in ProbeName]?: ProbeRecord<ProbeValues[P]> }

/** An attempt as the past keeps it: what came of it, without what it told. */
export interface Check {
  readonly status: Outcome['status']
  readonly kind: Kind | null
  /** Unix seconds. */
  readonly at: number
  readonly durationSeconds: number
  /** The one number of what it told that is worth following, as the probe's `level` has it; null where there is none. */
  readonly level: number | null
}

/** The newest checks of each probe, newest last; bounded. */
export type Past = { readonly [P in ProbeName]?: readonly Check[] }

/** Everything known of one builder. A new object whenever anything changed, so identity says "unchanged". */
export interface BuilderState {
  readonly builder: Builder
  readonly probes: ProbeRecords
  readonly verdict: Verdict
  /** Times of the newest changes of the verdict, for flapping; bounded. */
  readonly changedAt: readonly number[]
  readonly past: Past
  /** Newest last; bounded. Kept apart from the rest of the past, evidence and all, so that successes do not push them out. */
  readonly failures: readonly Result[]
  /** What the verdict was when the monitor was last stopped; absent where it was not known then. */
  readonly before?: {
    readonly state: State
    readonly kind: string | null
    readonly since: number
  }
}

/** The course of one attempt, as text for people. */
export interface AttemptTrace {
  /** Unix seconds at its end. */
  readonly at: number
  readonly status: Outcome['status']
  readonly kind: Kind | null
  /** `+12 ms step: detail`, more lines of a detail indented: clean and bounded. */
  readonly lines: string
}

/** The newest attempt of a probe, and the newest that failed; the same object where it is the newest. */
export interface ProbeTraces {
  readonly last: AttemptTrace
  readonly lastFailed: AttemptTrace | null
}

export type BuilderTraces = Readonly<Partial<Record<ProbeName, ProbeTraces>>>

/** An immutable view of the whole. */
export interface Snapshot {
  readonly version: number
  /** Unix seconds. */
  readonly at: number
  readonly source: ActiveBuilders['source']
  readonly builders: ReadonlyMap<string, BuilderState>
  readonly problems: readonly Problem[]
  /** The local Nix, as it was when the builders were read; absent before that. */
  readonly nix?: LocalNix
  /** The newest look at this machine itself; absent before the first. */
  readonly client?: ClientState
  /** Absent where alerting is off. */
  readonly alerts?: AlertsState
  readonly monitor: MonitorState
}

/** An alert of ours: its condition holds, or did so a short while ago. Times are Unix seconds. */
export interface Alert {
  readonly name: string
  /** All of them, `alertname` and `severity` included; clean, none empty, none over 1 KiB. They are what it is known by. */
  readonly labels: Readonly<Record<string, string>>
  /** `summary`, `description`, `runbook_url`. */
  readonly annotations: Readonly<Record<string, string>>
  /** `pending` is not yet anybody's concern. */
  readonly state: 'pending' | 'firing' | 'resolved'
  readonly value: number
  /** Since when its condition holds. */
  readonly activeAt: number
  /** Since when it fires; null while pending. */
  readonly startsAt: number | null
  /** When it ended; null before that. */
  readonly endsAt: number | null
  /** Of the labels, as Alertmanager computes it: 16 hex digits. */
  readonly fingerprint: string
  /** The page that shows what is wrong. */
  readonly generatorUrl: string
}

export interface AlertsState {
  /** Where our page is read, without a slash at the end. */
  readonly externalUrl: string
  /** Pending and firing ones, and those that ended within five minutes. */
  readonly list: readonly Alert[]
}

/** What the monitor knows of itself. */
export interface MonitorState {
  readonly startedAt: number
  readonly suspect: boolean
  readonly lastReloadOk: boolean
  /** True while the configuration is being read anew. */
  readonly reloading?: boolean
  /** False while the state file cannot be read or written; absent where there is none. */
  readonly stateFileOk?: boolean
  /** Failed attempts by kind, all builders, since start. */
  readonly failuresByKind: Readonly<Partial<Record<Kind, number>>>
  /** Interval of each probe in seconds. */
  readonly intervals: Readonly<Record<ProbeName, number>>
  /** True once every builder has had a first verdict. */
  readonly ready: boolean
}

/** How exporters see the state. */
export interface View {
  read(): Snapshot
  /** Calls the listener after each new snapshot; the returned function ends it. */
  subscribe(listener: (snapshot: Snapshot) => void): () => void
}

/** One sample of a metric family; names and labels are those of docs/metrics.md. */
export interface Sample {
  readonly family: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

// ---------------------------------------------------------------------------------------------------------- ports

/** Time, so that tests can hold it. */
export interface Clock {
  /** Unix time in milliseconds. */
  now(): number
  /** Milliseconds that never jump. */
  monotonic(): number
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** Calls `task` at each time of the cron expression until stopped. */
export interface Timetable {
  every(cron: string, name: string, task: () => void): () => void
  /** Seconds between two runs of the expression, and a sentence when it is not one. */
  intervalSeconds(cron: string): number
  stop(): Promise<void>
}

/** An open channel that runs one remote command. */
export interface Channel {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Resolves when the remote command ended or the connection was lost (code null). Never rejects. */
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>
  /** Ends the channel at once. Idempotent. */
  close(): void
}

/** A logged-in connection. At most two channels are open at a time; a third `open` waits. */
export interface Remote {
  open(command: string, signal: AbortSignal): Promise<Channel>
}

/** A connection of our own making. */
export interface Connection extends Remote {
  /** Resolves with a reason when the connection is gone, however that came. */
  readonly closed: Promise<string>
  close(): void
}

/**
 * Notes a step of an attempt for people who look for a fault: what was asked, what was answered. `detail` may be remote
 * text of many lines; whoever keeps it cleans and cuts it. Never a key, a password or a value of the environment.
 */
export type Trace = (step: string, detail?: string) => void

/** A trace that nobody reads. */
export const noTrace: Trace = () => undefined

/** Logs in afresh to a builder the way Nix's ssh would. */
export type Dial = (
  builder: Builder,
  signal: AbortSignal,
  trace?: Trace,
) => Promise<{
  readonly outcome: Outcome<LoginValue>
  readonly connection: Connection | null
}>

export interface RunRequest {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** For standard input; without it the child reads from /dev/null. */
  readonly stdin?: string | Uint8Array
  readonly signal: AbortSignal
  /** Cap for each of stdout and stderr, bytes; what is beyond is dropped and `truncated` is set. */
  readonly maxBytes?: number
  /** Each whole line of stderr as it comes. */
  readonly onStderrLine?: (line: string) => void
}

export interface RunResult {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
  readonly truncated: boolean
  /** `ENOENT`, ... when the program could not be started. */
  readonly spawnError: string | null
  /** True when the signal ended it; the whole process group is gone. */
  readonly aborted: boolean
}

/** Runs a local program to its end, or kills its whole process group when the signal fires. Never rejects. */
export type Run = (request: RunRequest) => Promise<RunResult>

// --------------------------------------------------------------------------------------------------------- access

/** Who may reach our HTTP server, and how: a web configuration file of Prometheus' exporters, read and checked. */
export interface WebAccess {
  /** Null for plain HTTP. */
  readonly tls: WebTls | null
  /** Bcrypt hashes by user; empty where nobody has to log in. */
  readonly users: ReadonlyMap<string, string>
  /** Headers of every answer, which win over ours; an empty value takes ours away. */
  readonly headers: Readonly<Record<string, string>>
  /** A token bucket: a request each `intervalMs`, and `burst` at once. Null for none. */
  readonly rateLimit: { readonly intervalMs: number; readonly burst: number } | null
}

/** Go's names for what is asked of clients (crypto/tls, ClientAuthType). */
export type ClientAuth =
  | 'NoClientCert'
  | 'RequestClientCert'
  | 'RequireAnyClientCert'
  | 'VerifyClientCertIfGiven'
  | 'RequireAndVerifyClientCert'

export interface WebTls {
  /** The certificates with their keys, and what of TLS is allowed: as tls.createSecureContext takes it. */
  readonly context: SecureContextOptions
  readonly clientAuth: ClientAuth
  /** A client certificate must have one of these names (DNS, IP, e-mail, URI); null where any will do. */
  readonly allowedSans: readonly string[] | null
}

// --------------------------------------------------------------------------------------------------------- probes

/** What a probe is handed. */
export interface ProbeContext {
  readonly builder: Builder
  /** The connection of the newest login. */
  readonly remote: Remote
  readonly run: Run
  readonly clock: Clock
  /** Fires at the attempt's deadline. */
  readonly signal: AbortSignal
  readonly nix: LocalNix
  /** What other probes of this builder found last. */
  readonly last: <P extends ProbeName>(probe: P) => ProbeValues[P] | null
  /** Channels that are opened and programs that are run are noted already. */
  readonly trace: Trace
}

/** A probe of its own. */
export interface Probe<P extends ProbeName> {
  readonly name: P
  readonly summary: string
  /** Milliseconds that one attempt may take. */
  readonly timeoutMs: number
  run(context: ProbeContext): Promise<Outcome<ProbeValues[P]>>
  samples(value: ProbeValues[P], builder: Builder): readonly Sample[]
  /** The one number whose course is worth a line on the builder's page. */
  level?(value: ProbeValues[P]): number | null
}

/** A probe whose POSIX sh fragment goes out together with the others that are due, as one command. */
export interface TelemetryProbe<P extends ProbeName> {
  readonly name: P
  readonly summary: string
  /** Prints facts as `key<TAB>value` lines or raw file contents; must end by itself. */
  readonly script: string
  /** `output` is what the fragment printed, untrusted. */
  parse(output: string, context: TelemetryContext): Outcome<ProbeValues[P]>
  samples(value: ProbeValues[P], builder: Builder): readonly Sample[]
  /** The one number whose course is worth a line on the builder's page. */
  level?(value: ProbeValues[P]): number | null
}

export interface TelemetryContext {
  readonly builder: Builder
  readonly last: ProbeContext['last']
  /** Unix seconds, local, before the command went out and after its answer came. */
  readonly sentAt: number
  readonly receivedAt: number
}
