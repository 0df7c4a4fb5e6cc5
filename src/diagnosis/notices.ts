import type {
  BuilderState,
  CertificateInfo,
  ProbeName,
  ProbeValues,
  Kind,
  Params,
} from '../model/index.ts'
import { builderParams } from './params.ts'

/** Worth knowing about a builder; it changes no state by itself. */
export interface Notice {
  readonly kind: Kind
  readonly params: Params
}

/** Certificates want a new signature when so many seconds are left; the alert has the same. */
const certificateNoticeSeconds = 3 * 86_400
/** More than the clocks of machines without NTP drift apart in weeks. */
const clockSkewNoticeSeconds = 60
const rebootNoticeSeconds = 3600

/** What is worth knowing of a builder beside its cause, by the newest good results. `now` in Unix seconds. Pure. */
export const collectNotices = (
  { builder, probes }: BuilderState,
  now: number,
): Notice[] => {
  const notice = (kind: Kind, params: Params): Notice => ({
    kind,
    params: { ...builderParams(builder), ...params },
  })
  const login = lastGoodValue(probes, 'login')
  const system = lastGoodValue(probes, 'system')
  const notices: Notice[] = []
  if (login?.transport === 'openssh') notices.push(notice('needs_openssh', {}))
  const expiring = earliestExpiry(login?.certificates ?? [])
  if (expiring && expiring.validUntil - now < certificateNoticeSeconds) {
    const subject =
      expiring.source === 'sshd' ? 'the one that a host presented' : expiring.source
    const detail = `${subject} is valid until ${formatIsoTime(expiring.validUntil)}`
    notices.push(notice('certificate_expires', { detail }))
  }
  const offset = system?.clockOffsetSeconds ?? 0
  if (Math.abs(offset) > clockSkewNoticeSeconds)
    notices.push(notice('clock_skew', { detail: formatClockOffset(offset) }))
  const rebootDetectedAt = system?.rebootDetectedAt ?? null
  if (rebootDetectedAt !== null && now - rebootDetectedAt < rebootNoticeSeconds)
    notices.push(
      notice('rebooted', { detail: `up since ${formatIsoTime(system?.bootedAt ?? 0)}` }),
    )
  return notices
}

/** The certificate that ends first, null where none does. */
export const earliestExpiry = (
  certificates: readonly CertificateInfo[],
): { readonly source: string; readonly validUntil: number } | null => {
  let first: { readonly source: string; readonly validUntil: number } | null = null
  for (const { source, validUntil } of certificates)
    if (validUntil !== null && (!first || validUntil < first.validUntil))
      first = { source, validUntil }
  return first
}

/** `123 s ahead of ours`. */
export const formatClockOffset = (seconds: number): string =>
  `${Math.round(Math.abs(seconds))} s ${seconds > 0 ? 'ahead of' : 'behind'} ours`

/** To the second, in UTC. */
export const formatIsoTime = (unixSeconds: number): string =>
  new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z')

const lastGoodValue = <P extends ProbeName>(
  probes: BuilderState['probes'],
  probe: P,
): ProbeValues[P] | null => {
  // The record of P holds values of P; TypeScript loses that through the index
  const outcome = probes[probe]?.lastSuccess?.outcome
  return outcome && 'value' in outcome ? (outcome.value ?? null) : null
}
