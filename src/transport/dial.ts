import { readFile } from 'node:fs/promises'
import type {
  Builder,
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
import {
  hostKeyPolicy,
  judgeHostKey,
  knownTypes,
  needsCertificate,
  type HostKeyPolicy,
} from './host-key.ts'
import { readIdentities, type Identities } from './identities.ts'
import { parseKnownHosts, type KnownHost } from './known-hosts.ts'
import { askOpenssh, opensshConnection } from './openssh.ts'
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
    const login = await prepare(builder, command, target)
    const viaOpenssh =
      !deps.resolve && (opensshUntil.get(builder.line) ?? 0) > deps.clock.now()
    // Certificates and security keys: a try of ssh2 would only be one more failed login
    const onlyOpenssh =
      !deps.resolve && (needsCertificate(login.policy) || login.identities.opensshOnly)
    if (viaOpenssh || onlyOpenssh) {
      const answer = await confirm(login, deps, signal, {})
      if (answer.connection || onlyOpenssh) return answer
      opensshUntil.delete(builder.line)
    }
    const dialled = await dialWithSsh2(login, deps, signal)
    if (dialled.outcome.status === 'ok' || dialled.outcome.status === 'degraded') {
      if (dialled.outcome.value.transport === 'openssh')
        opensshUntil.set(builder.line, deps.clock.now() + opensshMemoryMs)
    }
    return dialled
  }
}

/** All that is known before the first packet. */
interface Login {
  readonly builder: Builder
  readonly command: SshCommand
  readonly target: SshTarget
  readonly policy: HostKeyPolicy
  readonly identities: Identities
  /** Nix's temporary known_hosts file for a pinned key. */
  readonly pinnedLine: string | null
}

const prepare = async (
  builder: Builder,
  command: SshCommand,
  target: SshTarget,
): Promise<Login> => {
  const pinnedKey =
    builder.publicHostKey ?? builder.params['base64-ssh-public-host-key'] ?? null
  const pinnedLine =
    pinnedKey === null
      ? null
      : `${command.pinnedAs} ${Buffer.from(pinnedKey, 'base64').toString('utf8').trimEnd()}\n`
  const pinned =
    pinnedLine === null
      ? null
      : { lines: parseKnownHosts(pinnedLine, 'the machine line'), as: command.pinnedAs }
  const [user, global, identities] = await Promise.all([
    readKnownHosts(target.userKnownHosts),
    readKnownHosts(target.globalKnownHosts),
    readIdentities(target.identityFiles, keyFileOf(builder), checkKey),
  ])
  const policy = hostKeyPolicy(target, pinned, { user, global })
  return { builder, command, target, policy, identities, pinnedLine }
}

const readKnownHosts = async (files: readonly string[]): Promise<KnownHost[]> => {
  const read = await Promise.all(
    files.map(file =>
      readFile(file, 'utf8').then(
        text => parseKnownHosts(text, file),
        () => [],
      ),
    ),
  )
  return read.flat()
}

const dialWithSsh2 = async (
  login: Login,
  deps: DialDeps,
  signal: AbortSignal,
): Promise<Dialled> => {
  const { target } = login
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
        loginValue(phases, null),
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
  addPhases(phases, result)
  const value: LoginValue = {
    phases,
    via,
    hostKey: result.verdict?.seen ?? null,
    transport: 'ssh2',
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
  const outcome = { ...red, params: withPort(target, red.params), value } as const
  if (red.confirm && !deps.resolve) return confirm(login, deps, signal, outcome)
  return { outcome: strip(outcome), connection: null }
}

const withoutValue = ({
  value: _,
  ...failure
}: Extract<Outcome<unknown>, { status: 'failed' }>): Outcome<LoginValue> => failure

const withPort = (target: SshTarget, params: Params): Params => ({
  ...params,
  port: String(target.port),
})

const loginValue = (phases: Phases, via: string | null): LoginValue => ({
  phases,
  via,
  hostKey: null,
  transport: 'ssh2',
  deadAddresses: [],
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
    if (error === 'timeout') return red('banner_timeout')
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

const strip = ({
  confirm: _,
  ...outcome
}: Red & { value: LoginValue }): Outcome<LoginValue> => outcome

/** Asks the real ssh; where it logs in, the builder is watched through it. `red` is what ssh2 saw. */
const confirm = async (
  login: Login,
  deps: DialDeps,
  signal: AbortSignal,
  red: Partial<Red & { value: LoginValue }>,
): Promise<Dialled> => {
  const answer = await askOpenssh(
    login.command,
    login.pinnedLine,
    deps.run,
    deps.env,
    signal,
  )
  const value: LoginValue = red.value ?? loginValue({}, null)
  if (answer.loggedIn) {
    const connection = opensshConnection(login.command, login.pinnedLine, deps.env)
    return {
      outcome: { status: 'ok', value: { ...value, transport: 'openssh' } },
      connection,
    }
  }
  const told =
    (await expiredInstead(login, deps, signal, classify(answer.stderr))) ?? null
  const evidence = evidenceOf(answer.stderr)
  const kind = betterKind(red.kind, told?.kind)
  const params = {
    ...(kind === told?.kind ? told?.params : {}),
    ...(kind === red.kind ? red.params : {}),
    port: String(login.target.port),
  }
  const status = kind === 'sshd_throttled' ? 'busy' : 'failed'
  return {
    outcome: {
      status,
      kind,
      params,
      value,
      ...(evidence ? { evidence } : {}),
    } as Outcome<LoginValue>,
    connection: null,
  }
}

/** sshd only says no to a certificate that is not valid any more; the certificate itself tells. */
const expiredInstead = async (
  { identities, target }: Login,
  { run, clock, env }: DialDeps,
  signal: AbortSignal,
  told: ReturnType<typeof classify>,
): Promise<ReturnType<typeof classify>> => {
  if (told?.kind !== 'auth_denied') return told
  for (const file of [...identities.certificates, ...target.certificateFiles]) {
    const shown = await run({ file: 'ssh-keygen', args: ['-L', '-f', file], env, signal })
    const until = validUntil(shown.stdout)
    if (until !== null && until < clock.now())
      return {
        ...told,
        kind: 'certificate_expired',
        params: { detail: `${file} was valid until ${new Date(until).toISOString()}` },
      }
  }
  return told
}

/** Unix milliseconds of the end in `Valid: from ... to ...` (ssh-keygen prints local time); null for `forever`. */
const validUntil = (text: string): number | null => {
  const until = Date.parse(/Valid: from \S+ to (\S+)/.exec(text)?.[1] ?? '')
  return Number.isNaN(until) ? null : until
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
