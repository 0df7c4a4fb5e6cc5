import type {
  Builder,
  CertificateInfo,
  Clock,
  Deadline,
  Dial,
  LocalNix,
  LoginPhase,
  LoginValue,
  Run,
  Trace,
} from '../../model/index.ts'
import { readUserCertificates } from './user-certificates.ts'
import { needsCertificate, type HostKeyPolicy } from './host-key.ts'
import { readIdentities, type Identities } from './identities.ts'
import type { JumpHostFailure } from './jump-host-failure.ts'
import { readHostKeyPolicy } from './host-key-policy.ts'
import { configuredKeyFile, type SshCommand } from './ssh-command.ts'
import type { SshTarget } from './ssh-config.ts'
import { checkKey, type Keepalive } from './ssh2.ts'

export interface DialDeps {
  readonly run: Run
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
  /** Keepalives of the next login; 15 s, three in vain by default. */
  readonly keepalive?: () => Keepalive
  /** Resolves the target without an ssh program; for the demo. */
  readonly resolve?: (builder: Builder) => SshTarget
}

/** Limits of one login. */
export interface LoginLimits {
  /** Milliseconds for all addresses to connect. */
  readonly connectMs: number
  /** Milliseconds until the server identifies itself. */
  readonly bannerMs: number
  /** Milliseconds for key exchange and authentication, the banner included. */
  readonly totalMs: number
}

/** What a working builder needs. Without ConnectTimeout OpenSSH waits for the kernel, about two minutes. */
const expectedLimits: LoginLimits = { connectMs: 5000, bannerMs: 5000, totalMs: 10_000 }
const hardMs = 60_000

/** Returns the limits of a deadline. ssh itself gives up after ConnectTimeout, which includes the key exchange. */
export const loginLimits = (
  deadline: Deadline,
  { connectTimeout }: Pick<SshTarget, 'connectTimeout'>,
): LoginLimits => {
  const sshMs = connectTimeout === null ? hardMs : Math.min(connectTimeout * 1000, hardMs)
  if (deadline === 'hard') return { connectMs: sshMs, bannerMs: sshMs, totalMs: hardMs }
  return { ...expectedLimits, connectMs: Math.min(sshMs, 8000) }
}

export type DialResult = Awaited<ReturnType<Dial>>
export type Phases = Partial<Record<LoginPhase, number>>

export interface DialContext {
  readonly deps: DialDeps
  readonly signal: AbortSignal
  readonly trace: Trace
  readonly limits: LoginLimits
  /** Reports the failure of the jump host, or null, to waiting logins. */
  readonly reportJumpHost: (fault: JumpHostFailure | null) => void
}

/** Everything known before the first packet. */
export interface PreparedLogin {
  readonly builder: Builder
  readonly command: SshCommand
  readonly target: SshTarget
  readonly policy: HostKeyPolicy
  readonly identities: Identities
  /** Our certificates that ssh would offer. */
  readonly certificates: readonly CertificateInfo[]
  /** Nix's temporary known_hosts file for a pinned key. */
  readonly pinnedLine: string | null
}

/** Reads the keys, certificates and known hosts that ssh would use. Ignores unreadable files. */
export const prepareLogin = async (
  builder: Builder,
  command: SshCommand,
  target: SshTarget,
  { run, env, resolve }: DialDeps,
  signal: AbortSignal,
): Promise<PreparedLogin> => {
  const lineKey = configuredKeyFile(builder)
  const [{ policy, pinnedLine }, identities, certificates] = await Promise.all([
    readHostKeyPolicy(builder, command, target),
    readIdentities(target.identityFiles, lineKey, checkKey),
    resolve ? [] : readUserCertificates({ target, lineKey, run, env, signal }),
  ])
  return { builder, command, target, policy, identities, certificates, pinnedLine }
}

/**
 * Whether only OpenSSH can log in (certificates, security keys, a proxy that passes a socket, a list of revoked keys); an
 * attempt with ssh2 would only be a failed login, or accept what ssh rejects.
 */
export const needsOpenssh = ({
  target,
  policy,
  identities,
  certificates,
}: PreparedLogin): boolean =>
  target.options?.get('proxyusefdpass')?.[0] === 'yes' ||
  (target.options?.get('revokedhostkeys')?.[0] ?? 'none') !== 'none' ||
  needsCertificate(policy) ||
  identities.opensshOnly.length > 0 ||
  certificates.some(({ source }) => source !== 'agent')

/** Creates the value of a login from the data so far. */
export const buildLoginValue = (
  { target, certificates }: PreparedLogin,
  phases: Phases = {},
  via: string | null = null,
): LoginValue => ({
  phases,
  via,
  hostKey: null,
  transport: 'ssh2',
  unreachableAddresses: [],
  endpoint: formatEndpoint(target),
  certificates,
})

/** `host:port` with the jump host. */
export const formatEndpoint = ({
  hostname,
  port,
  proxyJump,
}: Pick<SshTarget, 'hostname' | 'port' | 'proxyJump'>): string =>
  [`${hostname}:${port}`, ...(proxyJump === null ? [] : [proxyJump])].join(' behind ')
