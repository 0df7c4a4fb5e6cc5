import type { Clock, LoginValue, Outcome, Kind, Params } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { oneLine, truncateEvidence } from '../../text/truncate.ts'
import { toCertificateInfo } from './user-certificates.ts'
import {
  attributeToJumpHost,
  describeBehindJump,
  isJumpHostFailure,
  type JumpHostFailure,
} from './jump-host-failure.ts'
import { serviceWithCopy } from './known-hosts.ts'
import { tryOpenssh, opensshConnection } from './openssh.ts'
import {
  buildLoginValue,
  type DialResult,
  type PreparedLogin,
  type DialContext,
} from './prepare-login.ts'
import { resolveTarget } from './ssh-config.ts'

/** Why a login failed. */
export interface LoginFailure {
  readonly status: 'failed' | 'busy'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
  /** True if only OpenSSH can confirm this failure. */
  readonly confirmWithOpenssh: boolean
}

/** Retries a login with OpenSSH. If that succeeds, the builder is monitored through OpenSSH. `failure` is the result of ssh2. */
export const confirmWithOpenssh = async (
  login: PreparedLogin,
  context: DialContext,
  failure: Partial<LoginFailure & { value: LoginValue }>,
): Promise<DialResult> => {
  const { deps, signal, reportJumpHost, trace, limits } = context
  const attempt = await tryOpenssh(
    login.command,
    login.pinnedLine,
    deps.run,
    deps.env,
    signal,
    limits.connectMs,
  )
  trace(attempt.loggedIn ? 'OpenSSH logs in' : 'OpenSSH cannot log in', attempt.stderr)
  const previousValue: LoginValue = failure.value ?? buildLoginValue(login)
  const value = {
    ...previousValue,
    certificates: [
      ...previousValue.certificates,
      ...attempt.hostCertificates.map(certificate =>
        toCertificateInfo(certificate, 'sshd'),
      ),
    ],
  }
  if (attempt.loggedIn) {
    reportJumpHost(null)
    const connection = opensshConnection(login.command, login.pinnedLine, deps.env)
    const reached: LoginValue = { ...value, transport: 'openssh' }
    return {
      outcome:
        failure.kind === 'ssh_flood'
          ? {
              status: 'degraded',
              kind: failure.kind,
              params: failure.params ?? {},
              value: reached,
            }
          : { status: 'ok', value: reached },
      connection,
    }
  }
  const classified = explainExpiredCertificate(
    login,
    deps.clock,
    classify(attempt.stderr),
  )
  const evidence = truncateEvidence(attempt.stderr)
  const kind = mostSpecificKind(
    failure.kind,
    classified?.kind ?? (attempt.timedOut ? 'login_timeout' : undefined),
  )
  const params = {
    ...(kind === classified?.kind ? classified?.params : {}),
    ...(kind === 'auth_denied' ? securityKeyParams(login) : {}),
    ...(kind.startsWith('host_key_') && login.policy.pinnedHostName === null
      ? serviceWithCopy(login.target.userKnownHosts)
      : {}),
    ...(kind === 'certificate_principal' && !classified?.params['knownAs']
      ? { knownAs: login.target.hostKeyAlias ?? login.target.hostname }
      : {}),
    ...(kind === failure.kind ? failure.params : {}),
    port: String(login.target.port),
  }
  const status = kind === 'sshd_throttled' ? 'busy' : 'failed'
  const described = describeBehindJump(login.target, attempt.stderr, { kind, params })
  const outcome = { status, ...described, ...(evidence ? { evidence } : {}) } as const
  // The proxy sent nothing: ssh does not even know the peer's address
  const endedEarly = /UNKNOWN port 65535/.test(attempt.stderr)
  const reported =
    endedEarly && isJumpHostFailure(login.target, attempt.stderr)
      ? await reportJumpHostFailure(login, context, outcome)
      : outcome
  return { outcome: withValue(reported, value), connection: null }
}

/** Attributes a failure to the jump host and reports it to other logins that wait for the jump host. */
export const reportJumpHostFailure = async (
  { target, command }: PreparedLogin,
  { deps: { run, env }, signal, reportJumpHost }: DialContext,
  reported: JumpHostFailure,
): Promise<JumpHostFailure> => {
  const attributed = await attributeToJumpHost(reported, target.proxyJump ?? '', {
    sshOptions: command.options,
    resolve: jump => resolveTarget(jump, run, env, signal),
  })
  reportJumpHost(attributed)
  return attributed
}

/** Adds the value to a failure; a busy outcome has no value. */
export const withValue = (
  reported: JumpHostFailure,
  value: LoginValue,
): Outcome<LoginValue> =>
  reported.status === 'failed'
    ? { ...reported, status: 'failed', value }
    : { ...reported, status: 'busy' }

/** Explains a failure if the only key is a security key, which must be touched. */
const securityKeyParams = ({ identities }: PreparedLogin): Params => {
  const [key] = identities.opensshOnly
  return key === undefined || identities.usable.length > 0
    ? {}
    : {
        key,
        detail: `${key} is a security key: it must be plugged in and touched at each login, which is impossible for nix-daemon`,
      }
}

/** Replaces auth_denied if a certificate has expired or does not list the user: sshd does not report the reason. */
const explainExpiredCertificate = (
  { certificates, target }: PreparedLogin,
  clock: Clock,
  classified: ReturnType<typeof classify>,
): ReturnType<typeof classify> => {
  if (classified?.kind !== 'auth_denied') return classified
  const expired = certificates.find(
    ({ validUntil }) => validUntil !== null && validUntil * 1000 < clock.now(),
  )
  if (expired?.validUntil == null) {
    const other = certificates.find(
      ({ role, principals }) =>
        role === 'user' && principals?.length && !principals.includes(target.user),
    )
    const names = other?.principals?.map(name => oneLine(name, 40)).slice(0, 10)
    return other && names
      ? {
          ...classified,
          kind: 'certificate_principal',
          params: {
            knownAs: target.user,
            detail: `${other.source} lists ${names.join(', ')}`,
          },
        }
      : classified
  }
  const until = new Date(expired.validUntil * 1000).toISOString()
  return {
    ...classified,
    kind: 'certificate_expired',
    params: { detail: `${expired.source} was valid until ${until}` },
  }
}

/** Prefers our own kind (from key files, known_hosts lines) if it refines that of ssh's messages without contradicting it. */
const mostSpecificKind = (ours: Kind | undefined, theirs: Kind | undefined): Kind => {
  if (!ours) return theirs ?? 'unclassified'
  if (!theirs || theirs === ours) return ours
  // OpenSSH does not report how far the login got
  if (
    ours === 'session_ended' &&
    (theirs === 'sshd_closed' || theirs === 'connection_lost')
  )
    return ours
  const keyKinds: readonly Kind[] = [
    'key_missing',
    'key_unreadable',
    'key_encrypted',
    'key_permissions',
  ]
  if (theirs === 'auth_denied' && keyKinds.includes(ours)) return ours
  const hostKeyKinds: readonly Kind[] = [
    'host_key_mismatch',
    'host_key_revoked',
    'host_key_changed',
    'pinned_key_invalid',
  ]
  if (
    (theirs === 'host_key_unknown' || theirs === 'host_key_changed') &&
    hostKeyKinds.includes(ours)
  )
    return ours
  return theirs
}
