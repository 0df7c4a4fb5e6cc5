import type {
  BuilderState,
  Cause,
  ClientOutcome,
  Drain,
  Hold,
  Quarantine,
  QuarantineState,
  Finding,
  Fix,
  Outcome,
  Problem,
  ProbeName,
  Snapshot,
  State,
  Kind,
  Side,
} from '../model/index.ts'
import { clientChecks, probeNames } from '../model/index.ts'
import { clientOutcomes } from './client-outcomes.ts'
import { worstState } from './diagnose.ts'
import { lint } from './lint/lint.ts'
import { kindFixes, formatMessage, kindSide } from './kinds/index.ts'
import { collectNotices } from './notices.ts'
import { reproduceCommand } from './reproduce.ts'
import { sharedCauses, type SharedCause } from './shared-cause.ts'

/** The output of `check --json`, `status --json` and `/api/v1/builders`. Text is sanitized, not escaped. */
export interface Report {
  /** Unix seconds. */
  readonly at: number
  readonly state: State
  readonly builders: readonly BuilderReport[]
  readonly client: {
    readonly ready: boolean
    readonly checks: Readonly<Record<string, CheckReport>>
  }
  readonly sharedCauses: readonly SharedCause[]
  readonly findings: readonly Finding[]
  readonly problems: readonly Problem[]
  /** Absent in `check`, which keeps no builds away. */
  readonly quarantine?: QuarantineState
}

export interface BuilderReport {
  readonly name: string
  readonly storeUri: string
  readonly state: State
  /** Unix seconds. */
  readonly since: number
  readonly verified: boolean
  readonly flapping: boolean
  readonly cause: CauseReport | null
  readonly notices: readonly NoticeReport[]
  /** Null unless it is drained by a command. */
  readonly drain: Drain | null
  /** Null unless it failed and was not verified for long enough since. */
  readonly quarantine: Quarantine | null
  /** Null unless builds are kept away from it. */
  readonly hold: Hold | null
  readonly probes: Readonly<Partial<Record<ProbeName, ProbeReport>>>
}

export interface CauseReport {
  readonly probe: Cause['probe']
  readonly kind: Kind
  readonly side: Side
  readonly reason: string
  readonly fixes: readonly Fix[]
  readonly reproduce: string
  readonly evidence: string | null
}

export interface NoticeReport {
  readonly kind: Kind
  readonly reason: string
  readonly fixes: readonly Fix[]
}

interface CheckReport {
  readonly status: ClientOutcome['status']
  readonly kind?: Kind
  readonly reason?: string
  readonly fixes?: readonly Fix[]
}

export interface ProbeReport extends Omit<CheckReport, 'status'> {
  readonly status: Outcome['status']
  readonly durationSeconds: number
  /** Unix seconds. */
  readonly at: number
  readonly value?: unknown
  /** The steps of the attempt, one a line; only with `check --debug`. */
  readonly trace?: readonly string[]
}

/** Creates the report of all builders, or of those in `names`. `toReport` may cache the report of a builder. */
export const createReport = (
  snapshot: Snapshot,
  names?: ReadonlySet<string>,
  toReport = builderReport,
): Report => {
  const builders = [...snapshot.builders.values()].filter(
    state => !names || names.has(state.builder.name),
  )
  return {
    at: snapshot.at,
    // Without a valid list there is no builder that could be down
    state: snapshot.problems.some(({ isFatal }) => isFatal)
      ? 'down'
      : worstState(builders.map(state => state.health.state)),
    builders: builders.map(state => toReport(state, snapshot.at)),
    client: clientReport(snapshot),
    sharedCauses: sharedCauses(
      new Map(builders.map(state => [state.builder.name, state])),
    ),
    findings: collectFindings(snapshot, names),
    problems: snapshot.problems,
    ...(snapshot.quarantine ? { quarantine: snapshot.quarantine } : {}),
  }
}

/** Returns the lint findings, without those about builders that are not in `names`. */
export const collectFindings = (
  { builders, nix, client }: Snapshot,
  names?: ReadonlySet<string>,
): readonly Finding[] =>
  nix
    ? lint({
        builders: [...builders.values()],
        nix,
        sshTimeouts: client?.sshTimeouts,
      }).filter(({ builder }) => builder === undefined || !names || names.has(builder))
    : []

const clientReport = (snapshot: Snapshot): Report['client'] => {
  const outcomes = clientOutcomes(snapshot)
  return {
    ready: Object.values(outcomes).every(({ status }) => status !== 'failed'),
    checks: Object.fromEntries(
      clientChecks.flatMap(name => {
        const outcome = outcomes[name]
        return outcome ? [[name, checkReport(outcome)]] : []
      }),
    ),
  }
}

const checkReport = (outcome: ClientOutcome): CheckReport =>
  outcome.status === 'ok'
    ? { status: 'ok', ...(outcome.note === undefined ? {} : { reason: outcome.note }) }
    : {
        status: outcome.status,
        kind: outcome.kind,
        reason: formatMessage(outcome.kind, outcome.params),
        fixes: kindFixes(outcome.kind, outcome.params),
      }

/** `now` in Unix seconds. */
export const builderReport = (state: BuilderState, now: number): BuilderReport => ({
  name: state.builder.name,
  storeUri: state.builder.storeUri,
  state: state.health.state,
  since: state.health.since,
  verified: state.health.verified,
  flapping: state.health.flapping,
  cause: state.health.cause ? causeReport(state, state.health.cause) : null,
  drain: state.drain ?? null,
  quarantine: state.quarantine ?? null,
  hold: state.hold ?? null,
  notices: collectNotices(state, now).map(({ kind, params }) => ({
    kind,
    reason: formatMessage(kind, params),
    fixes: kindFixes(kind, params),
  })),
  probes: Object.fromEntries(
    probeNames.flatMap(name => {
      const record = state.probes[name]
      return record ? [[name, probeReport(record.last)]] : []
    }),
  ),
})

const causeReport = (state: BuilderState, cause: Cause): CauseReport => ({
  probe: cause.probe,
  kind: cause.kind,
  side: kindSide(cause.kind),
  reason: formatMessage(cause.kind, cause.params),
  fixes: kindFixes(cause.kind, cause.params),
  reproduce: reproduceCommand(state.builder, cause.probe),
  evidence: cause.evidence ?? null,
})

const probeReport = ({
  outcome,
  durationSeconds,
  at,
}: NonNullable<BuilderState['probes'][ProbeName]>['last']): ProbeReport => ({
  status: outcome.status,
  ...(outcome.status === 'ok'
    ? {}
    : {
        kind: outcome.kind,
        reason: formatMessage(outcome.kind, outcome.params),
        fixes: kindFixes(outcome.kind, outcome.params),
      }),
  durationSeconds,
  at,
  ...('value' in outcome && outcome.value !== undefined ? { value: outcome.value } : {}),
})
