import type { Readable, Writable } from 'node:stream'
import type { Kind, Params } from './kind.ts'
import type { Builder } from './builders.ts'
import type { Outcome } from './outcomes.ts'
import type { LoginValue } from './values.ts'

/** The clock. Tests replace it. */
export interface Clock {
  /** Unix time in milliseconds. */
  now(): number
  /** Milliseconds of a clock that never jumps. */
  monotonic(): number
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** Runs tasks at the times of cron expressions. */
export interface CronScheduler {
  /** Calls `task` at each time of the expression until the returned function is called. */
  every(cron: string, name: string, task: () => void): () => void
  /** Seconds between the next two runs of the expression. */
  intervalSeconds(cron: string): number
  /** Seconds until the next run of the expression. */
  secondsToNext(cron: string): number
  stop(): Promise<void>
}

/** An open channel that runs one remote command. */
export interface Channel {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Resolves when the remote command ended or the connection was lost (code null). Never rejects. */
  readonly exit: Promise<{ readonly code: number | null; readonly signal: string | null }>
  /** Closes the channel immediately. Idempotent. */
  close(): void
}

/** A logged-in connection. At most two channels are open at a time; a third `open` waits. */
export interface Remote {
  open(command: string, signal: AbortSignal): Promise<Channel>
}

/** A connection that this process opened. */
export interface Connection extends Remote {
  /** Resolves with the reason when the connection is closed by either side. */
  readonly closed: Promise<string>
  close(): void
}

/**
 * Records a step of an attempt for people who debug it: the request, the response. `detail` may be remote text of many
 * lines; the receiver sanitizes and caps it. Never pass a key, a password or a value of the environment.
 */
export type Trace = (step: string, detail?: string) => void

/** A trace that discards its steps. */
export const noTrace: Trace = () => undefined

/**
 * Which deadlines apply. `expected`: beyond them a working builder is slow. `hard`: as long as Nix itself would wait, at
 * least 60 s; only a timeout after that is believed.
 */
export type Deadline = 'expected' | 'hard'

/** Opens a new login to a builder, as Nix's ssh would. */
export type Dial = (
  builder: Builder,
  signal: AbortSignal,
  trace?: Trace,
  deadline?: Deadline,
) => Promise<{
  readonly outcome: Outcome<LoginValue>
  readonly connection: Connection | null
}>

export interface RunRequest {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Standard input. Without it the child reads from /dev/null. */
  readonly stdin?: string | Uint8Array
  readonly signal: AbortSignal
  /** Limit for each of stdout and stderr, bytes. The rest is dropped and `truncated` is set. */
  readonly maxBytes?: number
  /** Called with each complete line of stderr. */
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
  /** True when the signal ended it. The whole process group was killed. */
  readonly aborted: boolean
}

/** Runs a local program to its end, or kills its process group when the signal fires. Never rejects. */
export type Run = (request: RunRequest) => Promise<RunResult>

/** The answer of this machine's nix-daemon. `reason` is an error code or message. */
export type LocalDaemon =
  | { readonly answers: true; readonly trusted: boolean; readonly version: string | null }
  | { readonly answers: false; readonly reason: string }

/** Asks whether this machine's nix-daemon runs and trusts our user. Never rejects. */
export type AskLocalDaemon = (signal: AbortSignal) => Promise<LocalDaemon>

/** What a binary cache did. `isConnected`: it accepted the connection and sent nothing. */
export type SubstituterAnswer =
  | { readonly status: 'answers' }
  | { readonly status: 'hangs'; readonly isConnected: boolean }
  | { readonly status: 'fails'; readonly code: string; readonly seconds: number }

/** Asks a binary cache over HTTP whether it answers within `timeoutMs`. Never rejects. */
export type AskSubstituter = (
  url: URL,
  timeoutMs: number,
  signal: AbortSignal,
) => Promise<SubstituterAnswer>

/** The part of an ssh configuration that decides where and as which user ssh logs in. */
export interface SshSettings {
  readonly user: string
  readonly hostname: string
  readonly port: number
  readonly hostKeyAlias: string | null
  readonly proxyJump: string | null
  readonly proxyCommand: string | null
  readonly agent: string | null
  readonly identityFiles: readonly string[]
  readonly userKnownHosts: readonly string[]
  /** Seconds, null for none. Absent where ssh did not print it. */
  readonly connectTimeout?: number | null
  readonly serverAliveInterval?: number | null
}

export interface ResolvedSshConfig {
  readonly target: SshSettings
  /** Why this configuration would reject the verified host key; null where it accepts the key or none was given. */
  readonly hostKeyRejection: Kind | null
}

export interface ResolveAsOptions {
  /** Differences from our own environment; undefined means not set. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Home directory of another user, whose ssh_config is read and which `~` stands for; null for our own. */
  readonly home: string | null
  /** The user with whose name ssh logs in by default; root by default. Only with `home`. */
  readonly user?: string
  /** Base64 of a verified host key. */
  readonly hostKey: string | null
  readonly signal: AbortSignal
}

/**
 * Returns where a login of a builder would connect, after all aliases: `ADDRESS port N`, or the host behind its jump host.
 * Needs no connection. Null where it is not known.
 */
export type FindEndpoint = (
  builder: Builder,
  signal: AbortSignal,
) => Promise<string | null>

/** A fault of ssh's own configuration, as a kind with its parameters. */
export interface SshConfigFault {
  readonly kind: Kind
  readonly params: Params
}

/**
 * Returns the fault of ssh's configuration that stops builds on a builder for certain; null if there is none. Needs no
 * connection. `env` are differences from our own environment.
 */
export type CheckSshConfig = (
  builder: Builder,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
) => Promise<SshConfigFault | null>

/** Resolves ssh's configuration for a builder in another environment. Null where ssh reports none. */
export type ResolveSshConfigAs = (
  builder: Builder,
  options: ResolveAsOptions,
) => Promise<ResolvedSshConfig | null>
