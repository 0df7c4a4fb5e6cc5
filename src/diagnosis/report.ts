import type {
  BuilderState,
  Cause,
  Outcome,
  Problem,
  ProbeName,
  Snapshot,
  State,
} from '../model.ts'
import { probeNames } from '../model.ts'
import { configFault, worstState } from './diagnose.ts'
import { hintOf, reasonOf, sideOf, type Kind, type Side } from './kinds.ts'
import { reproduceCommand } from './reproduce.ts'

/** What `check --json`, `status --json` and `/api/v1/builders` print. Text is clean, not escaped. */
export interface Report {
  readonly state: State
  readonly builders: readonly BuilderReport[]
  readonly client: {
    readonly ready: boolean
    readonly checks: Readonly<Record<string, CheckReport>>
  }
  readonly findings: readonly never[]
  readonly problems: readonly Problem[]
}

export interface BuilderReport {
  readonly name: string
  readonly storeUri: string
  readonly state: State
  /** Unix seconds. */
  readonly since: number
  readonly proven: boolean
  readonly flapping: boolean
  readonly cause: CauseReport | null
  readonly probes: Readonly<Partial<Record<ProbeName, ProbeReport>>>
}

export interface CauseReport {
  readonly probe: Cause['probe']
  readonly kind: Kind
  readonly side: Side
  readonly reason: string
  readonly hint: string
  readonly reproduce: string
  readonly evidence: string | null
}

interface CheckReport {
  readonly status: 'ok' | 'failed'
  readonly kind?: Kind
  readonly reason?: string
  readonly hint?: string
}

export interface ProbeReport extends Omit<CheckReport, 'status'> {
  readonly status: Outcome['status']
  readonly durationSeconds: number
  /** Unix seconds. */
  readonly at: number
  readonly value?: unknown
}

export const reportOf = (snapshot: Snapshot, names?: ReadonlySet<string>): Report => {
  const builders = [...snapshot.builders.values()].filter(
    state => !names || names.has(state.builder.name),
  )
  const fault = snapshot.problems.find(problem => problem.stopsBuilds)
  return {
    state: worstState(builders.map(state => state.verdict.state)),
    builders: builders.map(builderReport),
    client: {
      ready: !fault,
      checks: { config: fault ? failedCheck(fault) : { status: 'ok' } },
    },
    findings: [],
    problems: snapshot.problems,
  }
}

const failedCheck = (problem: Problem): CheckReport => {
  const { kind, params } = configFault(problem)
  return {
    status: 'failed',
    kind,
    reason: reasonOf(kind, params),
    hint: hintOf(kind, params),
  }
}

export const builderReport = (state: BuilderState): BuilderReport => ({
  name: state.builder.name,
  storeUri: state.builder.storeUri,
  state: state.verdict.state,
  since: state.verdict.since,
  proven: state.verdict.proven,
  flapping: state.verdict.flapping,
  cause: state.verdict.cause ? causeReport(state, state.verdict.cause) : null,
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
  side: sideOf(cause.kind),
  reason: reasonOf(cause.kind, cause.params),
  hint: hintOf(cause.kind, cause.params),
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
        reason: reasonOf(outcome.kind, outcome.params),
        hint: hintOf(outcome.kind, outcome.params),
      }),
  durationSeconds,
  at,
  ...('value' in outcome && outcome.value !== undefined ? { value: outcome.value } : {}),
})
