import type { Builder, LocalNix } from './builders.ts'
import type { Outcome, ProbeName } from './outcomes.ts'
import type { Trends } from './history.ts'
import type { Clock, Remote, Run, Trace } from './ports.ts'
import type { Sample } from './snapshot.ts'
import type { ProbeValues } from './values.ts'

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
  /** The numbers whose course is worth a line on the builder's page. */
  trends?(value: ProbeValues[P]): Trends
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
  /** The numbers whose course is worth a line on the builder's page. */
  trends?(value: ProbeValues[P]): Trends
}

export interface TelemetryContext {
  readonly builder: Builder
  readonly last: ProbeContext['last']
  /** Unix seconds, local, before the command went out and after its answer came. */
  readonly sentAt: number
  readonly receivedAt: number
}
