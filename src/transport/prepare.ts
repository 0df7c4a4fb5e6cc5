import type {
  Builder,
  CertificateSeen,
  Clock,
  Dial,
  LocalNix,
  LoginPhase,
  LoginValue,
  Run,
  Trace,
} from '../model.ts'
import { readUserCertificates } from './credentials.ts'
import { needsCertificate, type HostKeyPolicy } from './host-key.ts'
import { readIdentities, type Identities } from './identities.ts'
import type { JumpFault } from './jump-fault.ts'
import { readHostKeyPolicy } from './known-hosts-files.ts'
import { keyFileOf, type SshCommand } from './ssh-command.ts'
import type { SshTarget } from './ssh-config.ts'
import { checkKey } from './ssh2.ts'

export interface DialDeps {
  readonly run: Run
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
  /** How the target is found; the demo fleet has its own, so that it needs no ssh program. */
  readonly resolve?: (builder: Builder) => SshTarget
}

export type Dialled = Awaited<ReturnType<Dial>>
export type Phases = Partial<Record<LoginPhase, number>>

/** One dial on its way. */
export interface Trip {
  readonly deps: DialDeps
  readonly signal: AbortSignal
  readonly trace: Trace
  /** Tells those who wait whether the jump host is at fault. */
  readonly tell: (fault: JumpFault | null) => void
}

/** All that is known before the first packet. */
export interface Login {
  readonly builder: Builder
  readonly command: SshCommand
  readonly target: SshTarget
  readonly policy: HostKeyPolicy
  readonly identities: Identities
  /** Ours, as ssh would offer them. */
  readonly certificates: readonly CertificateSeen[]
  /** Nix's temporary known_hosts file for a pinned key. */
  readonly pinnedLine: string | null
}

/** Reads the keys, certificates and known hosts that ssh would use. Never rejects for what it cannot read. */
export const prepare = async (
  builder: Builder,
  command: SshCommand,
  target: SshTarget,
  { run, env, resolve }: DialDeps,
  signal: AbortSignal,
): Promise<Login> => {
  const lineKey = keyFileOf(builder)
  const [{ policy, pinnedLine }, identities, certificates] = await Promise.all([
    readHostKeyPolicy(builder, command, target),
    readIdentities(target.identityFiles, lineKey, checkKey),
    resolve ? [] : readUserCertificates({ target, lineKey, run, env, signal }),
  ])
  return { builder, command, target, policy, identities, certificates, pinnedLine }
}

/** Certificates and security keys: a try of ssh2 would only be one more failed login. */
export const needsOpenssh = ({ policy, identities, certificates }: Login): boolean =>
  needsCertificate(policy) ||
  identities.opensshOnly.length > 0 ||
  certificates.some(({ source }) => source !== 'agent')

/** What can be told of a login that came this far. */
export const loginValue = (
  { target, certificates }: Login,
  phases: Phases = {},
  via: string | null = null,
): LoginValue => ({
  phases,
  via,
  hostKey: null,
  transport: 'ssh2',
  deadAddresses: [],
  endpoint: [
    `${target.hostname}:${target.port}`,
    ...(target.proxyJump === null ? [] : [target.proxyJump]),
  ].join(' behind '),
  certificates,
})
