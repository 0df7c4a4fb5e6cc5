import {
  isSuccess,
  states,
  type Builder,
  type BuilderState,
  type LoginValue,
  type ProbeName,
  type ProbeRecord,
  type ProbeValues,
  type Result,
  type Sample,
} from '../../model/index.ts'
import {
  freshUntil,
  resultValue,
  type FreshnessContext,
} from '../../diagnosis/freshness.ts'
import { isKeptAway } from '../../diagnosis/out-of-service.ts'
import { kindSide } from '../../diagnosis/kinds/index.ts'
import { earliestExpiry, knownAdvisories } from '../../diagnosis/notices.ts'
import { oneLine } from '../../text/truncate.ts'
import type { FamilyName } from './families.ts'

/** Returns the samples of a result with a value: `samples` of its probe. */
export type CollectSamples = (result: Result, builder: Builder) => readonly Sample[]

/** Samples, and the Unix time until which they are valid without a new result. */
export interface CollectedSamples {
  readonly samples: readonly Sample[]
  readonly validUntil: number
}

const sample = (family: FamilyName, labels: Sample['labels'], value: number): Sample => ({
  family,
  labels,
  value,
})

/** Returns the samples of a builder that need no measurement: its machine line, state and whether it is up. */
export const collectStateSamples = ({
  builder,
  probes,
  health,
  quarantine,
  hold,
}: BuilderState): Sample[] => {
  const labels = { builder: builder.name }
  const nixVersion =
    resultField(probes.system?.lastSuccess, 'nixVersion') ??
    resultField(probes.trust?.lastSuccess, 'nixVersion')
  const up = isUp(probes)
  return [
    sample(
      'nix_builder_info',
      {
        ...labels,
        scheme: builder.scheme,
        host: oneLine(builder.host ?? '', 253),
        nix_version: oneLine(nixVersion ?? '', 40),
        // A known hole in this version of Nix; empty if there is none
        advisory: knownAdvisories(probes)[0]?.id ?? '',
      },
      1,
    ),
    sample('nix_builder_configured_slots', labels, builder.maxJobs),
    sample('nix_builder_configured_speed_factor', labels, builder.speedFactor),
    ...(up === null ? [] : [sample('nix_builder_up', labels, up ? 1 : 0)]),
    ...states.map(state =>
      sample('nix_builder_state', { ...labels, state }, state === health.state ? 1 : 0),
    ),
    ...(health.cause
      ? [
          sample(
            'nix_builder_cause',
            { ...labels, kind: health.cause.kind, side: kindSide(health.cause.kind) },
            1,
          ),
        ]
      : []),
    sample('nix_builder_state_change_timestamp_seconds', labels, health.since),
    sample('nix_builder_state_changes_total', labels, health.changes),
    sample('nix_builder_flapping', labels, health.flapping ? 1 : 0),
    sample('nix_builder_drained', labels, health.state === 'drained' ? 1 : 0),
    sample('nix_builder_quarantined', labels, quarantine && isKeptAway(hold) ? 1 : 0),
    sample('nix_builder_slots_withheld', labels, hold?.held ?? 0),
  ]
}

/** Null before the first login and for stores that are not remote. */
const isUp = ({ login, trust }: BuilderState['probes']): boolean | null => {
  if (!login) return null
  if (!login.conclusive) return login.last.outcome.status === 'skipped' ? null : false
  return isSuccess(login.conclusive) && !!trust?.conclusive && isSuccess(trust.conclusive)
}

/** Returns the counters and timestamps of one probe, and its measurements while they are fresh. */
export const collectProbeSamples = <P extends ProbeName>(
  builder: Builder,
  probe: P,
  record: ProbeRecord<ProbeValues[P]> | undefined,
  { now, intervals }: FreshnessContext,
  collectSamples: CollectSamples,
): CollectedSamples => {
  const labels = { builder: builder.name, probe }
  const ran = record?.conclusive
  const samples = [
    sample('nix_builder_probe_attempts_total', labels, record?.attempts ?? 0),
    sample('nix_builder_probe_failures_total', labels, record?.failures ?? 0),
    ...(ran
      ? [sample('nix_builder_probe_duration_seconds', labels, ran.durationSeconds)]
      : []),
    sample('nix_builder_probe_run_timestamp_seconds', labels, record?.last.at ?? 0),
    sample(
      'nix_builder_probe_success_timestamp_seconds',
      labels,
      record?.lastSuccess?.at ?? 0,
    ),
  ]
  let validUntil = Infinity
  const addWhileFresh = <T>(
    result: Result<T> | null | undefined,
    read: (result: Result<T>) => readonly Sample[],
  ) => {
    if (!result) return
    const expiresAt = freshUntil(result, intervals)
    if (now > expiresAt) return
    validUntil = Math.min(validUntil, expiresAt)
    samples.push(...read(result))
  }
  // A failed canary is exported too; other probes export only their last successful value
  addWhileFresh(probe === 'canary' ? ran : record?.lastSuccess, result =>
    measurementSamples(builder, result, collectSamples),
  )
  if (probe === 'login') {
    // TypeScript does not connect P and the value type through the index
    const login = record as ProbeRecord<LoginValue> | undefined
    addWhileFresh(login?.conclusive, result => phaseSamples(builder, result))
    addWhileFresh(login?.lastSuccess, result => hostKeySamples(builder, result))
    addWhileFresh(login?.conclusive, result => credentialSamples(builder, result))
  }
  return { samples, validUntil }
}

/** Includes the completed phases of a failed login. */
const phaseSamples = (builder: Builder, result: Result<LoginValue>): Sample[] =>
  Object.entries(resultValue(result)?.phases ?? {}).map(([phase, seconds]) =>
    sample(
      'nix_builder_ssh_phase_duration_seconds',
      { builder: builder.name, phase },
      seconds,
    ),
  )

/** OpenSSH only connects with a verified key; the built-in client reports how it verified the key. */
const hostKeySamples = (builder: Builder, result: Result<LoginValue>): Sample[] => {
  const value = resultValue(result)
  const isOpenssh = value?.transport === 'openssh'
  if (!value || (!isOpenssh && !value.hostKey)) return []
  const isPinned = isOpenssh || value.hostKey?.verifiedBy !== 'none'
  return [
    sample('nix_builder_host_key_pinned', { builder: builder.name }, isPinned ? 1 : 0),
  ]
}

/** Includes the certificates of a failed login. */
const credentialSamples = (builder: Builder, result: Result<LoginValue>): Sample[] => {
  const first = earliestExpiry(resultValue(result)?.certificates ?? [])
  return first === null
    ? []
    : [
        sample(
          'nix_builder_credential_expiry_timestamp_seconds',
          { builder: builder.name },
          first.validUntil,
        ),
      ]
}

const measurementSamples = (
  builder: Builder,
  result: Result,
  collectSamples: CollectSamples,
): readonly Sample[] => {
  if (resultValue(result) !== null)
    return collectSamples(result, builder).filter(({ value }) => Number.isFinite(value))
  if (result.probe !== 'canary' || result.outcome.status !== 'failed') return []
  // The canary failed before any build started
  return builder.systems.map(system =>
    sample('nix_builder_canary_available', { builder: builder.name, system }, 0),
  )
}

const resultField = <T, K extends keyof T>(
  result: Result<T> | null | undefined,
  key: K,
): T[K] | null => resultValue(result)?.[key] ?? null
