import type {
  Builder,
  CertificateSeen,
  Clock,
  Connection,
  Dial,
  LocalNix,
  LoginPhase,
  LoginValue,
  Outcome,
  Run,
} from '../model.ts'
import type { Kind, Params } from '../diagnosis/kinds.ts'
import { storeCommand } from '../nix/store-command.ts'
import { classify } from '../diagnosis/messages.ts'
import { evidenceOf, oneLine } from '../diagnosis/text.ts'
import { reach } from './addresses.ts'
import { readUserCertificates, seen } from './credentials.ts'
import {
  judgeHostKey,
  knownTypes,
  needsCertificate,
  type HostKeyPolicy,
} from './host-key.ts'
import { readIdentities, type Identities } from './identities.ts'
import { readHostKeyPolicy } from './known-hosts-files.ts'
import { askOpenssh, opensshConnection } from './openssh.ts'
import { blameJump, isFaultOfJump, type JumpFault } from './jump-fault.ts'
import { createJumps, type Jumps } from './jumps.ts'
import { openProxy, proxyShellCommand, type ProxyStream } from './proxy.ts'
import { keyFileOf, sshCommand, type SshCommand } from './ssh-command.ts'
import { resolveTarget, type SshTarget } from './ssh-config.ts'
import { checkKey, loginWithSsh2, type Ssh2Login } from './ssh2.ts'

export interface DialDeps {
  readonly run: Run
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
  /** How the target is found; the demo fleet has its own, so that it needs no ssh program. */
  readonly resolve?: (builder: Builder) => SshTarget
}

type Dialled = Awaited<ReturnType<Dial>>
type Phases = Partial<Record<LoginPhase, number>>

/** Seconds; OpenSSH would wait for the kernel, about two minutes. */
const connectTimeoutSeconds = 5
const bannerMs = 5000
const totalMs = 10_000
/** A dead address that costs less than this hurts nobody (an IPv6 address without a route fails at once). */
const costlySeconds = 1

/** How often a builder that needed OpenSSH is tried with ssh2 again. */
const opensshMemoryMs = 3_600_000

/**
 * Logs in the way Nix's ssh would: `ssh -G` says where and with what, ssh2 does it with a time for each phase, and what
 * is red in key exchange, host key or authentication is asked once of the real ssh before it is believed.
 */
export const createDial = (deps: DialDeps): Dial => {
  const opensshUntil = new Map<string, number>()
  const jumps = createJumps<JumpFault>(deps.clock.monotonic)
  const remember = (builder: Builder, dialled: Dialled): Dialled => {
    const { outcome } = dialled
    const isUp = outcome.status === 'ok' || outcome.status === 'degraded'
    if (isUp && outcome.value.transport === 'openssh')
      opensshUntil.set(builder.line, deps.clock.now() + opensshMemoryMs)
    return dialled
  }

  return async (builder, signal) => {
    const command = sshCommand(builder, deps.nix(), deps.env['NIX_SSHOPTS'])
    if (!command)
      return {
        outcome: { status: 'skipped', kind: 'not_remote', params: {} },
        connection: null,
      }
    const resolved = deps.resolve
      ? ({ status: 'ok', value: deps.resolve(builder) } as const)
      : await resolveTarget(command, deps.run, deps.env, signal)
    if (resolved.status === 'failed')
      return { outcome: withoutValue(resolved), connection: null }

    const target = resolved.value
    const login = await prepare(builder, command, target, deps, signal)
    const viaOpenssh =
      !deps.resolve && (opensshUntil.get(builder.line) ?? 0) > deps.clock.now()
    const onlyOpenssh = !deps.resolve && needsOpenssh(login)
    const way = await enter(jumps, target)
    if (typeof way !== 'function')
      return { outcome: withValue(way.fault, loginValue(login)), connection: null }
    const trip = { deps, signal, tell: way }
    try {
      if (viaOpenssh || onlyOpenssh) {
        const answer = await confirm(login, trip, {})
        if (answer.connection || onlyOpenssh) return answer
        opensshUntil.delete(builder.line)
      }
      return remember(builder, await dialWithSsh2(login, trip))
    } finally {
      way(null)
    }
  }
}

type Way = Awaited<ReturnType<Jumps<JumpFault>['enter']>>

const enter = async (jumps: Jumps<JumpFault>, { proxyJump }: SshTarget): Promise<Way> =>
  proxyJump === null ? () => undefined : jumps.enter(proxyJump)

/** One dial on its way. */
interface Trip {
  readonly deps: DialDeps
  readonly signal: AbortSignal
  /** Tells those who wait whether the jump host is at fault. */
  readonly tell: (fault: JumpFault | null) => void
}

/** Certificates and security keys: a try of ssh2 would only be one more failed login. */
const needsOpenssh = ({ policy, identities, certificates }: Login): boolean =>
  needsCertificate(policy) ||
  identities.opensshOnly.length > 0 ||
  certificates.some(({ source }) => source !== 'agent')

/** All that is known before the first packet. */
interface Login {
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

const prepare = async (
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

const dialWithSsh2 = async (login: Login, trip: Trip): Promise<Dialled> => {
  const { target } = login
  const { deps, signal, tell } = trip
  const phases: Phases = {}
  let deadAddresses: string[] = []
  let via: string
  let proxy: ProxyStream | null = null
  const proxyCommand = proxyShellCommand(
    target,
    target.connectTimeout ?? connectTimeoutSeconds,
    login.command.options,
  )
  let stream
  if (proxyCommand !== null) {
    proxy = openProxy(proxyCommand, target.proxyJump ?? 'ProxyCommand', deps.env)
    stream = proxy.stream
    via = `proxy ${proxy.name}`
  } else {
    const timeout = Math.min(target.connectTimeout ?? connectTimeoutSeconds, 8) * 1000
    const reached = await reach(
      target.hostname,
      target.port,
      target.family,
      timeout,
      signal,
    )
    phases.dns = reached.dnsSeconds
    if (reached.tcpSeconds !== null) phases.tcp = reached.tcpSeconds
    if (!reached.ok)
      return failed(
        reached.kind,
        withPort(target, reached.params),
        loginValue(login, phases),
      )
    deadAddresses = reached.dead
      .filter(d => d.seconds >= costlySeconds)
      .map(d => d.address)
    stream = reached.socket
    via = `${reached.address} port ${target.port}`
  }

  const result = await loginWithSsh2({
    stream,
    user: target.user,
    identities: login.identities.usable,
    agent: target.agent,
    preferredTypes: knownTypes(login.policy),
    judge: blob => judgeHostKey(login.policy, blob),
    timeouts: { bannerMs: proxy ? bannerMs + 3000 : bannerMs, totalMs },
    signal,
  })
  // Who heard anything came through
  if (result.stage !== 'banner') tell(null)
  addPhases(phases, result)
  const value: LoginValue = {
    ...loginValue(login, phases, via),
    hostKey: result.verdict?.seen ?? null,
    deadAddresses,
  }
  if (result.connection) {
    const ready = await firstChannel(login.builder, result.connection, phases, signal)
    if ('error' in ready) {
      result.connection.close()
      return failed('connection_lost', { detail: ready.error }, value)
    }
    return { outcome: judged(login, value), connection: ready.connection }
  }
  const proxyText = (await proxy?.lastWords()) ?? ''
  proxy?.close()
  const red = nameFailure(login, result, proxyText)
  if (isFaultOfJump(target, proxyText)) {
    const fault = await blame(login, trip, strip(red))
    return { outcome: withValue(fault, value), connection: null }
  }
  const outcome = { ...red, params: withPort(target, red.params), value } as const
  if (red.confirm && !deps.resolve) return confirm(login, trip, outcome)
  return { outcome: strip(outcome), connection: null }
}

const withoutValue = ({
  value: _,
  ...failure
}: Extract<Outcome<unknown>, { status: 'failed' }>): Outcome<LoginValue> => failure

const blame = async (
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
const withValue = (fault: JumpFault, value: LoginValue): Outcome<LoginValue> =>
  fault.status === 'failed'
    ? { ...fault, status: 'failed', value }
    : { ...fault, status: 'busy' }

const withPort = (target: SshTarget, params: Params): Params => ({
  ...params,
  port: String(target.port),
})

const loginValue = (
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

const failed = (kind: Kind, params: Params, value: LoginValue): Dialled => ({
  outcome: { status: 'failed', kind, params, value },
  connection: null,
})

const addPhases = (phases: Phases, { at }: Ssh2Login): void => {
  if (at.banner !== undefined) phases.banner = at.banner
  if (at.kex !== undefined) phases.kex = at.kex - (at.banner ?? 0)
  if (at.auth !== undefined) phases.auth = at.auth - (at.kex ?? 0)
}

/** A login that works may still be less than it should be. */
const judged = (login: Login, value: LoginValue): Outcome<LoginValue> => {
  if (value.deadAddresses.length > 0)
    return {
      status: 'degraded',
      kind: 'dead_address',
      params: { dead: value.deadAddresses.join(', ') },
      value,
    }
  if (value.hostKey?.verifiedBy === 'nothing' && value.transport === 'ssh2')
    return {
      status: 'degraded',
      kind: 'host_key_unpinned',
      params: { detail: login.policy.strict },
      value,
    }
  return { status: 'ok', value }
}

interface Red {
  readonly status: 'failed' | 'busy'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
  /** True where only the real ssh may say so. */
  readonly confirm: boolean
}

/** Names why a login ended, from how far it came and what was said. */
const nameFailure = (login: Login, result: Ssh2Login, proxyText: string): Red => {
  const { error, stage, firstBytes, verdict } = result
  const red = (kind: Kind, params: Params = {}, sure = true): Red => ({
    status: 'failed',
    kind,
    params,
    ...(error ? { evidence: evidenceOf(error) } : {}),
    confirm: !sure,
  })
  if (verdict && !verdict.accepted) return red(verdict.kind, verdict.params, false)
  if (stage === 'banner') {
    const said = classify(firstBytes)
    if (said?.kind === 'sshd_throttled')
      return { ...red(said.kind, said.params), status: 'busy' }
    if (proxyText) {
      const told = classify(proxyText)
      return {
        ...red(told?.kind ?? 'connection_lost', {
          ...told?.params,
          detail: `the proxy says: ${oneLine(told?.line ?? proxyText)}`,
        }),
        evidence: evidenceOf(proxyText),
      }
    }
    if (firstBytes)
      return red('not_ssh', {
        detail: `it says ${JSON.stringify(oneLine(firstBytes, 60))}`,
      })
    return error === 'timeout' ? red('banner_timeout') : red('sshd_closed')
  }
  if (stage === 'kex') {
    if (error && /no matching/i.test(error))
      return red('kex_mismatch', { detail: oneLine(error) }, false)
    if (error === 'timeout') return red('kex_timeout')
    return red('sshd_closed', { detail: oneLine(error ?? '') }, false)
  }
  const problem = login.identities.problems[0]
  if (
    error &&
    /authentication methods failed|Too many authentication failures/i.test(error)
  )
    return problem
      ? red(problem.kind, problem.params, false)
      : red('auth_denied', firstKey(login), false)
  return red('connection_lost', { detail: oneLine(error ?? '') })
}

const firstKey = (login: Login): Params => {
  const path = login.identities.usable[0]?.path
  return path ? { key: path } : { detail: 'there is no private key to offer' }
}

const strip = <T extends Red>({ confirm: _, ...outcome }: T): Omit<T, 'confirm'> =>
  outcome

/** Asks the real ssh; where it logs in, the builder is watched through it. `red` is what ssh2 saw. */
const confirm = async (
  login: Login,
  trip: Trip,
  red: Partial<Red & { value: LoginValue }>,
): Promise<Dialled> => {
  const { deps, signal, tell } = trip
  const answer = await askOpenssh(
    login.command,
    login.pinnedLine,
    deps.run,
    deps.env,
    signal,
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

/**
 * Opens the channel that Nix opens next and times it: a login that ends before it proves nothing. The channel is
 * handed to whoever opens that command first.
 */
const firstChannel = async (
  builder: Builder,
  connection: Connection,
  phases: Phases,
  signal: AbortSignal,
): Promise<{ connection: Connection } | { error: string }> => {
  const command = storeCommand(builder)
  const started = performance.now()
  try {
    let first: Awaited<ReturnType<Connection['open']>> | null = await connection.open(
      command,
      signal,
    )
    phases.channel = (performance.now() - started) / 1000
    return {
      connection: {
        closed: connection.closed,
        close: () => connection.close(),
        open: async (wanted, wantedSignal) => {
          if (!first || wanted !== command) return connection.open(wanted, wantedSignal)
          const channel = first
          first = null
          return channel
        },
      },
    }
  } catch (error) {
    return { error: oneLine(error instanceof Error ? error.message : String(error)) }
  }
}
