import {
  probeNames,
  states,
  type Builder,
  type BuilderState,
  type LoginPhase,
  type ProbeName,
  type Result,
  type Sample,
} from '../model.ts'
import { sideOf } from '../diagnosis/kinds.ts'
import { oneLine } from '../diagnosis/text.ts'
import type { FamilyName } from './families.ts'

/** What the probe of this result makes of its value: the probes' own `samples`. Only results with a value are asked. */
export type SamplesOf = (result: Result, builder: Builder) => readonly Sample[]

export interface Moment {
  /** Unix seconds. */
  readonly now: number
  readonly intervals: Readonly<Record<ProbeName, number>>
}

/** Samples of one builder, and until when they hold if nothing new comes. */
export interface Reading {
  readonly samples: readonly Sample[]
  readonly validUntil: number
}

/** Everything that is told of one builder (rules of presence: families.ts). */
export const readBuilder = (
  state: BuilderState,
  moment: Moment,
  samplesOf: SamplesOf,
): Reading => {
  const fresh = createFreshness(moment)
  const samples = [
    ...standing(state),
    ...counted(state),
    ...loginSamples(state, fresh.keep),
    ...measured(state, fresh.keep, samplesOf),
  ]
  return { samples, validUntil: fresh.validUntil() }
}

type Keep = (result: Result | null | undefined) => Result | null

/** Lets results through that are younger than three intervals of their probe, and notes when the first will be too old. */
const createFreshness = ({ now, intervals }: Moment) => {
  let until = Infinity
  const keep: Keep = result => {
    if (!result) return null
    const end = freshUntil(result, intervals)
    if (now > end) return null
    until = Math.min(until, end)
    return result
  }
  return { keep, validUntil: () => until }
}

export const freshUntil = (
  { probe, at }: Result,
  intervals: Moment['intervals'],
): number => at + 3 * intervals[probe]

const sample = (family: FamilyName, labels: Sample['labels'], value: number): Sample => ({
  family,
  labels,
  value,
})

const standing = ({ builder, probes, verdict }: BuilderState): Sample[] => {
  const labels = { builder: builder.name }
  const seen =
    textOf(probes.system?.lastGood, 'nixVersion') ??
    textOf(probes.trust?.lastGood, 'nixVersion')
  const up = isUp(probes)
  return [
    sample(
      'nix_builder_info',
      {
        ...labels,
        scheme: builder.scheme,
        host: oneLine(builder.host ?? '', 253),
        nix_version: oneLine(seen ?? '', 40),
      },
      1,
    ),
    sample('nix_builder_configured_slots', labels, builder.maxJobs),
    sample('nix_builder_configured_speed_factor', labels, builder.speedFactor),
    ...(up === null ? [] : [sample('nix_builder_up', labels, up ? 1 : 0)]),
    ...states.map(state =>
      sample('nix_builder_state', { ...labels, state }, state === verdict.state ? 1 : 0),
    ),
    ...(verdict.cause
      ? [
          sample(
            'nix_builder_cause',
            { ...labels, kind: verdict.cause.kind, side: sideOf(verdict.cause.kind) },
            1,
          ),
        ]
      : []),
    sample('nix_builder_state_change_timestamp_seconds', labels, verdict.since),
    sample('nix_builder_state_changes_total', labels, verdict.changes),
    sample('nix_builder_flapping', labels, verdict.flapping ? 1 : 0),
  ]
}

/** Null where no login was ever tried (a store that is not remote, or too early to tell). */
const isUp = ({ login, trust }: BuilderState['probes']): boolean | null => {
  if (!login) return null
  if (!login.conclusive) return login.last.outcome.status === 'skipped' ? null : false
  return isGood(login.conclusive) && isGood(trust?.conclusive)
}

const isGood = (result: Result | null | undefined): boolean =>
  result?.outcome.status === 'ok' || result?.outcome.status === 'degraded'

const counted = ({ builder, probes }: BuilderState): Sample[] =>
  probeNames.flatMap(probe => {
    const labels = { builder: builder.name, probe }
    const record = probes[probe]
    const ran = record?.conclusive
    return [
      sample('nix_builder_probe_attempts_total', labels, record?.attempts ?? 0),
      sample('nix_builder_probe_failures_total', labels, record?.failures ?? 0),
      ...(ran
        ? [sample('nix_builder_probe_duration_seconds', labels, ran.durationSeconds)]
        : []),
      sample('nix_builder_probe_run_timestamp_seconds', labels, record?.last.at ?? 0),
      sample(
        'nix_builder_probe_success_timestamp_seconds',
        labels,
        record?.lastGood?.at ?? 0,
      ),
    ]
  })

const loginSamples = ({ builder, probes }: BuilderState, keep: Keep): Sample[] => {
  const labels = { builder: builder.name }
  // A login that failed tells the phases it came through; whose key it saw is told by one that succeeded
  const newest = keep(probes.login?.conclusive) ? valueOf(probes.login?.conclusive) : null
  const good = keep(probes.login?.lastGood) ? valueOf(probes.login?.lastGood) : null
  const phases = Object.entries(newest?.phases ?? {}) as [LoginPhase, number][]
  const pinned =
    good?.transport === 'openssh' ||
    (good?.hostKey && good.hostKey.verifiedBy !== 'nothing')
  return [
    ...phases.map(([phase, seconds]) =>
      sample('nix_builder_ssh_phase_duration_seconds', { ...labels, phase }, seconds),
    ),
    ...(good && (good.transport === 'openssh' || good.hostKey)
      ? [sample('nix_builder_host_key_pinned', labels, pinned ? 1 : 0)]
      : []),
  ]
}

const measured = (
  { builder, probes }: BuilderState,
  keep: Keep,
  samplesOf: SamplesOf,
): Sample[] =>
  probeNames.flatMap(probe => {
    // A red canary is an answer as good as a green one; of the others only what was measured counts
    const newest =
      probe === 'canary' ? probes.canary?.conclusive : probes[probe]?.lastGood
    const result = keep(newest)
    if (!result) return []
    if (valueOf(result) !== null)
      return samplesOf(result, builder).filter(({ value }) => Number.isFinite(value))
    if (probe !== 'canary' || result.outcome.status !== 'failed') return []
    return builder.systems.map(system =>
      sample('nix_builder_canary_available', { builder: builder.name, system }, 0),
    )
  })

/** The value of a result, also of a failed one that learned something. */
export const valueOf = <T>(result: Result<T> | null | undefined): T | null =>
  result && 'value' in result.outcome ? (result.outcome.value ?? null) : null

const textOf = <T, K extends keyof T>(
  result: Result<T> | null | undefined,
  key: K,
): T[K] | null => valueOf(result)?.[key] ?? null
