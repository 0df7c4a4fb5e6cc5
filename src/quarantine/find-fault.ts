import { isClientTrouble, isVerified } from '../diagnosis/diagnose.ts'
import { kindSide } from '../diagnosis/kinds/index.ts'
import { isTimeout } from '../diagnosis/timeouts.ts'
import { isSuccess, type BuilderState, type Kind, type Outcome } from '../model/index.ts'

/** Failures of a login after which the next build would fail or wait. */
const loginFaults: ReadonlySet<Kind> = new Set<Kind>([
  'tcp_refused',
  'tcp_unreachable',
  'tcp_timeout',
  'not_ssh',
  'banner_timeout',
  'kex_timeout',
  'login_timeout',
  'connection_lost',
  'sshd_closed',
  'host_key_changed',
  'host_key_mismatch',
  'host_key_revoked',
])

/** Failures of the Nix on the builder that every build meets. */
const nixFaults: ReadonlySet<Kind> = new Set<Kind>([
  'nix_missing',
  'nix_not_executable',
  'daemon_down',
  'daemon_denied',
  'daemon_crash',
  'daemon_frozen',
  'disk_full',
  'inodes_full',
  'store_read_only',
  'store_locked',
])

const failedKind = (
  outcome: Outcome | undefined,
  kinds: ReadonlySet<Kind>,
): Kind | null =>
  outcome?.status === 'failed' && kinds.has(outcome.kind) ? outcome.kind : null

/**
 * Returns what is wrong with a builder so that builds must be kept away from it; null when nothing is, or when it is not
 * certain: slow, busy, skipped, or on the side of this machine. A timeout counts only when `makesProgress` is false: builds of
 * this machine do not move there.
 */
export const findFault = (
  { probes, firstTimeout }: BuilderState,
  makesProgress: boolean,
): Kind | null => {
  const login = probes.login
  if (firstTimeout && firstTimeout.at > (login?.last.at ?? 0))
    return makesProgress ? null : firstTimeout.kind
  const newest = login?.last.outcome
  if (!login || !newest || isClientTrouble(newest)) return null
  if (newest.status === 'busy' || newest.status === 'skipped') return null
  if (newest.status === 'failed')
    return isTimeout(newest) && makesProgress ? null : failedKind(newest, loginFaults)
  const trust = probes.trust?.last.outcome
  const nix = failedKind(trust, nixFaults)
  if (nix) return isTimeout(trust) && makesProgress ? null : nix
  return (
    failedKind(probes.disk?.last.outcome, nixFaults) ??
    findBuildFault(probes, makesProgress)
  )
}

/** Both ways to build fail on the builder's side. */
const findBuildFault = (
  { canary, direct }: BuilderState['probes'],
  makesProgress: boolean,
): Kind | null => {
  const outcome = canary?.last.outcome
  if (outcome?.status !== 'failed' || direct?.last.outcome.status !== 'failed')
    return null
  // A direct build that failed before an earlier canary says nothing
  if (direct.last.at < (canary?.last.at ?? 0)) return null
  if (kindSide(outcome.kind) === 'client') return null
  return isTimeout(outcome) && makesProgress ? null : outcome.kind
}

/**
 * Returns whether the builder is verified since `since` (Unix seconds): by a login, and a canary or a direct build.
 * Without canaries (`canVerify` false) two logins in a row.
 */
export const isVerifiedSince = (
  { probes }: BuilderState,
  since: number,
  canVerify: boolean,
): boolean => {
  const { login, trust } = probes
  const isUsable =
    !!login &&
    login.last.at >= since &&
    isSuccess(login.last) &&
    trust?.streak.ok === true
  if (!isUsable) return false
  return canVerify ? isVerified(probes, since) : login.streak.count >= 2
}
