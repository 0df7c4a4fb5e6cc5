import type {
  BuilderState,
  Cause,
  CertificateInfo,
  Diagnosis,
  ProbeName,
  Problem,
  ProbeRecords,
  Kind,
} from '../model/index.ts'
import { resultValue } from './freshness.ts'
import { formatClockOffset } from './notices.ts'

/** From the first rung to the last: what stands earlier explains what stands later. */
const probeOrder: readonly ProbeName[] = [
  'login',
  'trust',
  'disk',
  'memory',
  'system',
  'canary',
  'slots',
]

/** Kinds by which a builder without disk space or with a read-only store shows itself elsewhere. */
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

/** State and one cause as the newest conclusive results say it, undamped. Pure. */
export const diagnose = (
  probes: ProbeRecords,
  problems: readonly Problem[] = [],
): Diagnosis => {
  // One bad line and Nix uses none of them
  const fatal = problems.find(problem => problem.isFatal)
  if (fatal) return { state: 'down', cause: { probe: 'config', ...configCause(fatal) } }
  const { login } = probes
  if (!login) return { state: 'unknown', cause: null }
  const candidates = probeOrder.flatMap(probe => evaluateProbe(probes, probe))
  const disk = candidates.find(
    ({ cause }) => cause.probe === 'disk' && cause.kind !== 'below_min_free',
  )
  const worst = candidates.find(({ down }) => down) ?? candidates[0]
  if (worst) {
    const cause =
      disk && worst.cause.probe !== 'login' && explainedByDisk.has(worst.cause.kind)
        ? disk.cause
        : isAccessDenied(probes, worst.cause)
          ? { ...worst.cause, kind: 'daemon_denied' as const }
          : (attributeToClockSkew(probes, worst.cause) ?? worst.cause)
    return { state: worst.down ? 'down' : 'degraded', cause }
  }
  if (login.last.outcome.status === 'busy')
    return { state: 'unknown', cause: { probe: 'login', ...toCause(login.last.outcome) } }
  if (login.last.outcome.status === 'skipped')
    return { state: probes.canary?.conclusive ? 'healthy' : 'unknown', cause: null }
  return { state: 'healthy', cause: null }
}

/** nix-daemon hangs up on a user whom its settings leave out, which looks like a crash. */
const isAccessDenied = ({ system }: ProbeRecords, { kind }: Cause): boolean => {
  const outcome = system?.lastSuccess?.outcome
  const value = outcome && 'value' in outcome ? outcome.value : undefined
  return kind === 'daemon_crash' && value?.isAllowedUser === false
}

/** sshd judges certificates by its own clock, and says no more than no. */
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
  const detail = `${formatClockOffset(offset)}, and by it ${invalidCertificate.source} is not valid`
  return { ...cause, kind: 'clock_skew', params: { ...cause.params, detail } }
}

interface Candidate {
  readonly down: boolean
  readonly cause: Cause
}

/** What a probe has against the builder, if its newest conclusive result still speaks. */
const evaluateProbe = (probes: ProbeRecords, probe: ProbeName): Candidate[] => {
  const record = probes[probe]
  const outcome = record?.conclusive?.outcome
  if (!outcome || (outcome.status !== 'failed' && outcome.status !== 'degraded'))
    return []
  // A probe that now waits for a failed rung, or has no shell any more, says nothing against anybody
  if (probe !== 'canary' && record.last.outcome.status === 'skipped') return []
  return [{ down: outcome.status === 'failed', cause: { probe, ...toCause(outcome) } }]
}

/** The kind of a malformed builders list, with where it is. */
export const configCause = (problem: Problem): Omit<Cause, 'probe'> => ({
  kind: 'config_invalid',
  params: { detail: problem.message, where: `${problem.file}:${problem.line}` },
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

/** True once a canary (without a local Nix, a direct build) succeeded after the last change of the verdict. */
export const isVerified = (probes: ProbeRecords, since: number): boolean => {
  const record = probes.canary?.conclusive ? probes.canary : probes.direct
  return record?.streak.ok === true && (record.lastSuccess?.at ?? 0) >= since
}

/** The worst of several states; nothing to judge is unknown. */
export const worstState = (
  states: readonly BuilderState['health']['state'][],
): BuilderState['health']['state'] => {
  const order = ['down', 'degraded', 'unknown', 'asleep', 'drained', 'healthy'] as const
  return order.find(state => states.includes(state)) ?? 'unknown'
}
