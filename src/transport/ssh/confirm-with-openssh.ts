import type { Clock, LoginValue, Outcome, Kind, Params } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { truncateEvidence } from '../../text/truncate.ts'
import { toCertificateInfo } from './user-certificates.ts'
import {
  attributeToJumpHost,
  isJumpHostFailure,
  type JumpHostFailure,
} from './jump-host-failure.ts'
import { tryOpenssh, opensshConnection } from './openssh.ts'
import {
  buildLoginValue,
  type DialResult,
  type PreparedLogin,
  type DialContext,
} from './prepare-login.ts'
import { resolveTarget } from './ssh-config.ts'

/** Why a login ended. */
export interface LoginFailure {
  readonly status: 'failed' | 'busy'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
  /** True where only the real ssh may say so. */
  readonly confirmWithOpenssh: boolean
}

/** Asks the real ssh; where it logs in, the builder is watched through it. `red` is what ssh2 saw. */
export const confirmWithOpenssh = async (
  login: PreparedLogin,
  context: DialContext,
  failure: Partial<LoginFailure & { value: LoginValue }>,
): Promise<DialResult> => {
  const { deps, signal, reportJumpHost, trace } = context
  const attempt = await tryOpenssh(
    login.command,
    login.pinnedLine,
    deps.run,
    deps.env,
    signal,
  )
  trace(
    attempt.loggedIn ? 'the real ssh logs in' : 'the real ssh cannot log in',
    attempt.stderr,
  )
  const knownValue: LoginValue = failure.value ?? buildLoginValue(login)
  const value = {
    ...knownValue,
    certificates: [
      ...knownValue.certificates,
      ...attempt.hostCertificates.map(one => toCertificateInfo(one, 'sshd')),
    ],
  }
  if (attempt.loggedIn) {
    reportJumpHost(null)
    const connection = opensshConnection(login.command, login.pinnedLine, deps.env)
    return {
      outcome: { status: 'ok', value: { ...value, transport: 'openssh' } },
      connection,
    }
  }
  const classified = explainExpiredCertificate(
    login,
    deps.clock,
    classify(attempt.stderr),
  )
  const evidence = truncateEvidence(attempt.stderr)
  const kind = mostSpecificKind(failure.kind, classified?.kind)
  const params = {
    ...(kind === classified?.kind ? classified?.params : {}),
    ...(kind === 'auth_denied' ? securityKeyParams(login) : {}),
    ...(kind === failure.kind ? failure.params : {}),
    port: String(login.target.port),
  }
  const status = kind === 'sshd_throttled' ? 'busy' : 'failed'
  const outcome = { status, kind, params, ...(evidence ? { evidence } : {}) } as const
  // Nothing came out of the proxy, so that ssh does not even know whom it speaks with
  const endedEarly = /UNKNOWN port 65535/.test(attempt.stderr)
  const finalFailure =
    endedEarly && isJumpHostFailure(login.target, attempt.stderr)
      ? await reportJumpHostFailure(login, context, outcome)
      : outcome
  return { outcome: withValue(finalFailure, value), connection: null }
}

/** Finds out what is wrong with the jump host, and tells those who wait for it. */
export const reportJumpHostFailure = async (
  { target, command }: PreparedLogin,
  { deps: { run, env }, signal, reportJumpHost }: DialContext,
  finalFailure: JumpHostFailure,
): Promise<JumpHostFailure> => {
  const attributed = await attributeToJumpHost(finalFailure, target.proxyJump ?? '', {
    sshOptions: command.options,
    resolve: jump => resolveTarget(jump, run, env, signal),
  })
  reportJumpHost(attributed)
  return attributed
}

/** A busy sshd leaves nothing to show but that. */
export const withValue = (
  finalFailure: JumpHostFailure,
  value: LoginValue,
): Outcome<LoginValue> =>
  finalFailure.status === 'failed'
    ? { ...finalFailure, status: 'failed', value }
    : { ...finalFailure, status: 'busy' }

/** Where there is no other key, nobody can be asked to touch this one. */
const securityKeyParams = ({ identities }: PreparedLogin): Params => {
  const [key] = identities.opensshOnly
  return key === undefined || identities.usable.length > 0
    ? {}
    : {
        key,
        detail: `${key} is a security key: somebody has to plug it in and touch it, and nobody does for nix-daemon`,
      }
}

/** sshd only says no to a certificate that is not valid any more; the certificate itself tells. */
const explainExpiredCertificate = (
  { certificates }: PreparedLogin,
  clock: Clock,
  classified: ReturnType<typeof classify>,
): ReturnType<typeof classify> => {
  if (classified?.kind !== 'auth_denied') return classified
  const expired = certificates.find(
    ({ validUntil }) => validUntil !== null && validUntil * 1000 < clock.now(),
  )
  if (expired?.validUntil == null) return classified
  const until = new Date(expired.validUntil * 1000).toISOString()
  return {
    ...classified,
    kind: 'certificate_expired',
    params: { detail: `${expired.source} was valid until ${until}` },
  }
}

/** What we looked at ourselves (key files, known_hosts lines) is finer than ssh's words, where they do not contradict. */
const mostSpecificKind = (ours: Kind | undefined, theirs: Kind | undefined): Kind => {
  if (!ours) return theirs ?? 'unclassified'
  if (!theirs || theirs === ours) return ours
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
  ]
  if (
    (theirs === 'host_key_unknown' || theirs === 'host_key_changed') &&
    hostKeyKinds.includes(ours)
  )
    return ours
  return theirs
}
