import type { Clock, LoginValue, Outcome } from '../model.ts'
import type { Kind, Params } from '../diagnosis/kinds.ts'
import { classify } from '../diagnosis/messages.ts'
import { evidenceOf } from '../diagnosis/text.ts'
import { seen } from './credentials.ts'
import { blameJump, isFaultOfJump, type JumpFault } from './jump-fault.ts'
import { askOpenssh, opensshConnection } from './openssh.ts'
import { loginValue, type Dialled, type Login, type Trip } from './prepare.ts'
import { resolveTarget } from './ssh-config.ts'

/** Why a login ended. */
export interface Red {
  readonly status: 'failed' | 'busy'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
  /** True where only the real ssh may say so. */
  readonly confirm: boolean
}

/** Asks the real ssh; where it logs in, the builder is watched through it. `red` is what ssh2 saw. */
export const confirm = async (
  login: Login,
  trip: Trip,
  red: Partial<Red & { value: LoginValue }>,
): Promise<Dialled> => {
  const { deps, signal, tell, trace } = trip
  const answer = await askOpenssh(
    login.command,
    login.pinnedLine,
    deps.run,
    deps.env,
    signal,
  )
  trace(
    answer.loggedIn ? 'the real ssh logs in' : 'the real ssh cannot log in',
    answer.stderr,
  )
  const before: LoginValue = red.value ?? loginValue(login)
  const value = {
    ...before,
    certificates: [
      ...before.certificates,
      ...answer.hostCertificates.map(one => seen(one, 'sshd')),
    ],
  }
  if (answer.loggedIn) {
    tell(null)
    const connection = opensshConnection(login.command, login.pinnedLine, deps.env)
    return {
      outcome: { status: 'ok', value: { ...value, transport: 'openssh' } },
      connection,
    }
  }
  const told = expiredInstead(login, deps.clock, classify(answer.stderr))
  const evidence = evidenceOf(answer.stderr)
  const kind = betterKind(red.kind, told?.kind)
  const params = {
    ...(kind === told?.kind ? told?.params : {}),
    ...(kind === 'auth_denied' ? securityKeyOf(login) : {}),
    ...(kind === red.kind ? red.params : {}),
    port: String(login.target.port),
  }
  const status = kind === 'sshd_throttled' ? 'busy' : 'failed'
  const outcome = { status, kind, params, ...(evidence ? { evidence } : {}) } as const
  // Nothing came out of the proxy, so that ssh does not even know whom it speaks with
  const endedEarly = /UNKNOWN port 65535/.test(answer.stderr)
  const fault =
    endedEarly && isFaultOfJump(login.target, answer.stderr)
      ? await blame(login, trip, outcome)
      : outcome
  return { outcome: withValue(fault, value), connection: null }
}

/** Finds out what is wrong with the jump host, and tells those who wait for it. */
export const blame = async (
  { target, command }: Login,
  { deps: { run, env }, signal, tell }: Trip,
  fault: JumpFault,
): Promise<JumpFault> => {
  const blamed = await blameJump(fault, target.proxyJump ?? '', {
    sshOptions: command.options,
    resolve: jump => resolveTarget(jump, run, env, signal),
  })
  tell(blamed)
  return blamed
}

/** A busy sshd leaves nothing to show but that. */
export const withValue = (fault: JumpFault, value: LoginValue): Outcome<LoginValue> =>
  fault.status === 'failed'
    ? { ...fault, status: 'failed', value }
    : { ...fault, status: 'busy' }

/** Where there is no other key, nobody can be asked to touch this one. */
const securityKeyOf = ({ identities }: Login): Params => {
  const [key] = identities.opensshOnly
  return key === undefined || identities.usable.length > 0
    ? {}
    : {
        key,
        detail: `${key} is a security key: somebody has to plug it in and touch it, and nobody does for nix-daemon`,
      }
}

/** sshd only says no to a certificate that is not valid any more; the certificate itself tells. */
const expiredInstead = (
  { certificates }: Login,
  clock: Clock,
  told: ReturnType<typeof classify>,
): ReturnType<typeof classify> => {
  if (told?.kind !== 'auth_denied') return told
  const expired = certificates.find(
    ({ validUntil }) => validUntil !== null && validUntil * 1000 < clock.now(),
  )
  if (expired?.validUntil == null) return told
  const until = new Date(expired.validUntil * 1000).toISOString()
  return {
    ...told,
    kind: 'certificate_expired',
    params: { detail: `${expired.source} was valid until ${until}` },
  }
}

/** What we looked at ourselves (key files, known_hosts lines) is finer than ssh's words, where they do not contradict. */
const betterKind = (ours: Kind | undefined, theirs: Kind | undefined): Kind => {
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
