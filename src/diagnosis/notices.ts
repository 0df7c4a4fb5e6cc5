import type {
  BuilderState,
  CertificateInfo,
  Kind,
  Params,
  ProbeRecords,
  SessionsValue,
  SystemValue,
} from '../model/index.ts'
import { advisoriesFor, type Advisory } from '../nix/advisories.ts'
import { isLix } from '../nix/dialect.ts'
import { formatDuration } from '../text/duration.ts'
import { resultValue } from './freshness.ts'
import { builderParams } from './params.ts'

/** A fact about a builder that does not change its state. */
export interface Notice {
  readonly kind: Kind
  readonly params: Params
}

/** Remaining validity below which a certificate is noticed; equal to the alert's threshold. */
const certificateNoticeSeconds = 3 * 86_400
/** More than clocks without NTP drift apart in weeks. */
const clockSkewNoticeSeconds = 60
const rebootNoticeSeconds = 3600

/** Returns the notices of a builder from its newest successful results. `now` is in Unix seconds. Pure. */
export const collectNotices = (
  { builder, probes }: BuilderState,
  now: number,
): Notice[] => {
  const notice = (kind: Kind, params: Params): Notice => ({
    kind,
    params: { ...builderParams(builder), ...params },
  })
  const login = resultValue(probes.login?.lastSuccess)
  const system = resultValue(probes.system?.lastSuccess)
  const notices: Notice[] = []
  if (login?.transport === 'openssh') notices.push(notice('needs_openssh', {}))
  const expiring = earliestExpiry(login?.certificates ?? [])
  if (expiring && expiring.validUntil - now < certificateNoticeSeconds) {
    const subject = expiring.source === 'sshd' ? 'the host certificate' : expiring.source
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
  const advisory = knownAdvisories(probes)[0]
  if (advisory)
    notices.push(
      notice('nix_vulnerable', {
        missing: advisory.id,
        offered: fixedReleases(advisory, system),
        detail: advisory.id,
      }),
    )
  const sessions = resultValue(probes.sessions?.lastSuccess)
  if (sessions && sessions.orphanCount > 0)
    notices.push(notice('orphaned_sessions', orphanParams(sessions)))
  const silent = (resultValue(probes.substituters?.lastSuccess)?.checked ?? []).filter(
    ({ reason }) => reason !== null,
  )
  if (silent.length > 0)
    notices.push(
      notice('builder_substituter_unreachable', {
        uri: silent[0]?.url ?? '',
        detail: silent.map(({ url, reason }) => `${url}: ${reason}`).join('; '),
      }),
    )
  return notices
}

/** Lists the fixed releases of the vendor. */
const fixedReleases = (advisory: Advisory, system: SystemValue | null): string => {
  const releases = system?.determinateVersion
    ? advisory.determinate
    : isLix(system?.nixVersion ?? null)
      ? advisory.lix
      : advisory.nix
  return (releases ?? []).join(', ')
}

/** Returns the advisories that apply to the Nix of a builder, by its version. */
export const knownAdvisories = (probes: ProbeRecords): readonly Advisory[] => {
  const system = resultValue(probes.system?.lastSuccess)
  const version =
    system?.nixVersion ?? resultValue(probes.trust?.lastSuccess)?.nixVersion ?? null
  return advisoriesFor(version, system?.determinateVersion)
}
const orphanParams = ({ orphans, orphanCount }: SessionsValue): Params => ({
  available: String(orphanCount),
  pid: orphans.map(({ pid }) => pid).join(' '),
  detail: `the oldest runs for ${formatDuration(Math.max(...orphans.map(({ seconds }) => seconds)))}`,
})

/** Returns the certificate that expires first; null if none expires. */
export const earliestExpiry = (
  certificates: readonly CertificateInfo[],
): { readonly source: string; readonly validUntil: number } | null => {
  let first: { readonly source: string; readonly validUntil: number } | null = null
  for (const { source, validUntil } of certificates)
    if (validUntil !== null && (!first || validUntil < first.validUntil))
      first = { source, validUntil }
  return first
}

/** Formats an offset from the local clock: `123 s ahead`. */
export const formatClockOffset = (seconds: number): string =>
  `${Math.round(Math.abs(seconds))} s ${seconds > 0 ? 'ahead' : 'behind'}`

/** The last time that a Date can have, Unix seconds. */
const maxTime = 8.64e12

/** Formats a time in UTC, to the second. */
export const formatIsoTime = (unixSeconds: number): string =>
  new Date(Math.max(-maxTime, Math.min(maxTime, unixSeconds)) * 1000)
    .toISOString()
    .replace('.000Z', 'Z')
