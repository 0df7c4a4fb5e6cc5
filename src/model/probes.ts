import type { Builder, LocalNix } from './builders.ts'
import type { Failure, Outcome, ProbeName } from './outcomes.ts'
import type { Trends } from './history.ts'
import type { Clock, Remote, Run, Trace } from './ports.ts'
import type { Sample } from './snapshot.ts'
import type { ProbeValues } from './values.ts'

/** What a probe has access to. */
export interface ProbeContext {
  readonly builder: Builder
  /** The connection of the newest login. */
  readonly remote: Remote
  readonly run: Run
  readonly clock: Clock
  /** Fires at the attempt's deadline. */
  readonly signal: AbortSignal
  readonly nix: LocalNix
  /** The newest value of another probe of this builder, null when there is none. */
  readonly last: <P extends ProbeName>(probe: P) => ProbeValues[P] | null
  /** Channels and programs are traced already. */
  readonly trace: Trace
}

/** A probe that opens its own channel or program. */
export interface Probe<P extends ProbeName> {
  readonly name: P
  readonly summary: string
  /** Expected deadline of one attempt, milliseconds. */
  readonly timeoutMs: number
  /**
   * Hard deadline, milliseconds. A timeout is repeated once with it, and a success that takes longer than `timeoutMs` is
   * degraded. Absent when the first timeout decides.
   */
  readonly hardTimeoutMs?: number
  run(context: ProbeContext): Promise<Outcome<ProbeValues[P]>>
  /** Finds a better reason for the final failure, in an attempt of its own. */
  explain?(context: ProbeContext, failure: Failure): Promise<Failure>
  samples(value: ProbeValues[P], builder: Builder): readonly Sample[]
  /** Values shown as sparklines on the builder's page. */
  trends?(value: ProbeValues[P]): Trends
}

/** A probe whose POSIX sh fragment is sent together with the other due fragments, as one command. */
export interface TelemetryProbe<P extends ProbeName> {
  readonly name: P
  readonly summary: string
  /** Prints `key<TAB>value` lines or raw file contents. Must end by itself. */
  readonly script: string
  /** `output`: what the fragment printed, untrusted. */
  parse(output: string, context: TelemetryContext): Outcome<ProbeValues[P]>
  samples(value: ProbeValues[P], builder: Builder): readonly Sample[]
  /** Values shown as sparklines on the builder's page. */
  trends?(value: ProbeValues[P]): Trends
}

export interface TelemetryContext {
  readonly builder: Builder
  readonly nix: LocalNix
  readonly last: ProbeContext['last']
  /** Local Unix seconds before the command was sent and after its output was received. */
  readonly sentAt: number
  readonly receivedAt: number
}
