import type {
  Builder,
  CanaryValue,
  Cause,
  CertificateInfo,
  Diagnosis,
  Outcome,
  ProbeRecord,
  ProbeName,
  Problem,
  ProbeRecords,
  State,
  Kind,
} from '../model/index.ts'
import { withoutConsequence } from '../nix/machines/machine-line.ts'
import { resultValue } from './freshness.ts'
import { kindSide } from './kinds/index.ts'
import { findLineCause } from './line-cause.ts'
import { formatClockOffset } from './notices.ts'

/** Order of probes: a failure of an earlier one explains failures of later ones. */
const probeOrder: readonly ProbeName[] = [
  'login',
  'trust',
  'disk',
  'memory',
  'system',
  'canary',
  'slots',
  'throughput',
]

/** Kinds that a full disk or a read-only store causes in other probes. */
const explainedByDisk: ReadonlySet<Kind> = new Set<Kind>([
  'daemon_crash',
  'daemon_frozen',
  'connection_lost',
  'copy_failed',
  'build_failed',
  'build_timeout',
  'hook_broken',
  'unclassified',
  'disk_full',
])

/**
 * Returns the raw (not debounced) state and its cause from the newest conclusive results, and from the machine line of the
 * builder if it is given. Pure.
 */
export const diagnose = (
  probes: ProbeRecords,
  problems: readonly Problem[] = [],
  builder: Builder | null = null,
): Diagnosis => {
  // Nix uses no builder if one line is malformed
  const fatal = problems.find(problem => problem.isFatal)
  if (fatal) return { state: 'down', cause: { probe: 'config', ...configCause(fatal) } }
  const line = builder && findLineCause(builder, probes)
  if (line?.down) return { state: 'down', cause: line.cause }
  const { login } = probes
  if (!login) return { state: 'unknown', cause: null }
  // This machine could not ask: older results do not apply any more
  const newest = login.last.outcome
  if (newest.status === 'skipped' && isClientTrouble(newest))
    return { state: 'unknown', cause: { probe: 'login', ...toCause(newest) } }
  const candidates = probeOrder.flatMap(probe => evaluateProbe(probes, probe))
  const disk = candidates.find(
    ({ cause }) => cause.probe === 'disk' && cause.kind !== 'below_min_free',
  )
  const worst = candidates.find(({ down }) => down) ?? candidates[0]
  if (worst) {
    const cause =
      disk && worst.cause.probe !== 'login' && explainedByDisk.has(worst.cause.kind)
        ? disk.cause
        : (attributeToSshOption(probes, worst) ??
          (isAccessDenied(probes, worst.cause)
            ? { ...worst.cause, kind: 'daemon_denied' as const }
            : (attributeToClockSkew(probes, worst.cause) ??
              attributeToEnvironment(probes, worst.cause) ??
              worst.cause)))
    return { state: worst.down ? 'down' : 'degraded', cause }
  }
  if (line) return { state: 'degraded', cause: line.cause }
  if (login.last.outcome.status === 'busy')
    return { state: 'unknown', cause: { probe: 'login', ...toCause(login.last.outcome) } }
  if (login.last.outcome.status === 'skipped')
    return { state: probes.canary?.conclusive ? 'healthy' : 'unknown', cause: null }
  return { state: 'healthy', cause: null }
}

/** Failures of a canary that an option of ssh can cause. */
const causedByOptions: ReadonlySet<Kind> = new Set<Kind>([
  'ssh_option',
  'build_timeout',
  'connection_lost',
  'daemon_crash',
  'hook_broken',
  'sessions_forbidden',
  'shell_noise',
  'unclassified',
])

/**
 * Returns the option of ssh that the login warns about as the cause of a failed canary, if a direct build over our own
 * connection works.
 */
const attributeToSshOption = (
  { login, direct }: ProbeRecords,
  { down, cause }: Candidate,
): Cause | null => {
  const warning = login?.conclusive?.outcome
  if (warning?.status !== 'degraded' || warning.kind !== 'ssh_option') return null
  const isCanary = down && cause.probe === 'canary' && causedByOptions.has(cause.kind)
  if (!isCanary || direct?.streak.ok !== true) return null
  return { ...cause, kind: warning.kind, params: warning.params }
}

/** Failures of Nix that a variable of the remote shell can cause. */
const causedByEnvironment: ReadonlySet<Kind> = new Set<Kind>([
  'daemon_crash',
  'daemon_down',
  'daemon_frozen',
  'build_failed',
  'copy_failed',
  'unclassified',
])

/** Returns the variables of the remote shell that send Nix elsewhere as the cause of a failure of Nix. */
const attributeToEnvironment = ({ system }: ProbeRecords, cause: Cause): Cause | null => {
  const variables = resultValue(system?.lastSuccess)?.redirectedBy ?? []
  if (variables.length === 0 || !causedByEnvironment.has(cause.kind)) return null
  return {
    ...cause,
    kind: 'remote_environment',
    params: { ...cause.params, variables: variables.join(', ') },
  }
}

/** Returns whether an apparent crash is a rejection: nix-daemon closes the connection of users not in allowed-users. */
const isAccessDenied = ({ system }: ProbeRecords, { kind }: Cause): boolean => {
  const value = resultValue(system?.lastSuccess)
  return kind === 'daemon_crash' && value?.isAllowedUser === false
}

/** Returns the cause `clock_skew` if a user certificate is valid by the local clock but not by the builder's. sshd reports no reason. */
const attributeToClockSkew = (
  { login, system }: ProbeRecords,
  cause: Cause,
): Cause | null => {
  const at = login?.conclusive?.at
  const certificates = resultValue(login?.conclusive)?.certificates ?? []
  const offset = resultValue(system?.lastSuccess)?.clockOffsetSeconds ?? 0
  if (cause.kind !== 'auth_denied' || at === undefined || offset === 0) return null
  const isValid = ({ validFrom, validUntil }: CertificateInfo, time: number) =>
    time >= (validFrom ?? -Infinity) && time < (validUntil ?? Infinity)
  const invalidCertificate = certificates.find(
    certificate =>
      certificate.role === 'user' &&
      isValid(certificate, at) &&
      !isValid(certificate, at + offset),
  )
  if (!invalidCertificate) return null
  const detail = `${formatClockOffset(offset)}, so ${invalidCertificate.source} is not valid there`
  return { ...cause, kind: 'clock_skew', params: { ...cause.params, detail } }
}

interface Candidate {
  readonly down: boolean
  readonly cause: Cause
}

/** Returns the failure of a probe, if its newest conclusive result still applies. */
const evaluateProbe = (probes: ProbeRecords, probe: ProbeName): Candidate[] => {
  const record = probe === 'canary' ? newestBuild(probes) : probes[probe]
  const outcome = record?.conclusive?.outcome
  if (!outcome || (outcome.status !== 'failed' && outcome.status !== 'degraded'))
    return []
  // A probe that is skipped now (a dependency failed, or no shell) shows no failure
  if (probe !== 'canary' && record.last.outcome.status === 'skipped') return []
  return [{ down: outcome.status === 'failed', cause: { probe, ...toCause(outcome) } }]
}

/** Returns the cause for a malformed builders list. */
export const configCause = (problem: Problem): Omit<Cause, 'probe'> => ({
  kind: 'config_invalid',
  params: {
    detail: withoutConsequence(problem.message),
    where: `${problem.file}:${problem.line}`,
  },
})

const toCause = (outcome: {
  readonly kind: Kind
  readonly params: Cause['params']
  readonly evidence?: string
}): Omit<Cause, 'probe'> => ({
  kind: outcome.kind,
  params: outcome.params,
  ...(outcome.evidence ? { evidence: outcome.evidence } : {}),
})

/** Returns whether a canary build, or a direct build without a local Nix, has succeeded since `since` (Unix seconds). */
export const isVerified = (probes: ProbeRecords, since: number): boolean => {
  const record = newestBuild(probes)
  return record?.streak.ok === true && (record.lastSuccess?.at ?? 0) >= since
}

/**
 * Returns the record that decides whether the builder builds: that of the canary, or of the direct build where this machine
 * cannot build canaries (no local Nix, or trouble of its own).
 */
const newestBuild = ({
  canary,
  direct,
}: ProbeRecords): ProbeRecord<CanaryValue> | undefined => {
  if (!canary?.conclusive) return direct ?? canary
  const isReplaced =
    isClientTrouble(canary.last.outcome) &&
    (direct?.conclusive?.at ?? 0) > canary.conclusive.at
  return isReplaced ? direct : canary
}

/** Returns whether a probe was skipped because of this machine, so that the builder was not asked. */
export const isClientTrouble = (outcome: Outcome): boolean =>
  outcome.status === 'skipped' && kindSide(outcome.kind) === 'client'

/** States, most urgent first. */
export const urgency: readonly State[] = [
  'down',
  'degraded',
  'unknown',
  'asleep',
  'drained',
  'healthy',
]

/** Returns the most urgent of several states; unknown for none. */
export const worstState = (states: readonly State[]): State =>
  urgency.find(state => states.includes(state)) ?? 'unknown'
