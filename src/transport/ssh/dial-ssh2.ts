import type { LoginValue, Outcome, Kind, Params } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { localTrouble } from '../../diagnosis/local-trouble.ts'
import { storeCommand } from '../../nix/protocol/store-command.ts'
import { classifyLogin } from './classify-login.ts'
import { connectTcp } from './tcp-connect.ts'
import { bindAddresses } from './options/bind-address.ts'
import { explainConnect } from './options/explain-connect.ts'
import { verifyHostKey, knownTypes } from './host-key.ts'
import { describeBehindJump, isJumpHostFailure } from './jump-host-failure.ts'
import {
  reportJumpHostFailure,
  confirmWithOpenssh,
  withValue,
  type LoginFailure,
} from './confirm-with-openssh.ts'
import {
  buildLoginValue,
  type DialResult,
  type PreparedLogin,
  type Phases,
  type DialContext,
} from './prepare-login.ts'
import { openProxy, proxyShellCommand, type ProxyStream } from './proxy.ts'
import type { SshTarget } from './ssh-config.ts'
import { defaultKeepalive, loginWithSsh2, type Ssh2Login } from './ssh2.ts'
import { firstChannel } from './first-channel.ts'
import { findHookReply } from './hook-reply.ts'
import { formatConnect, formatHostKeyCheck } from './format-trace.ts'

/** Time that a proxy needs in addition, to connect and to log in to a jump host. */
const proxyMs = 3000
/** Unreachable addresses are reported if they cost at least this (an IPv6 address without a route fails at once). */
const slowAddressSeconds = 1

/** Connects and logs in with ssh2. Confirms failures with OpenSSH where ssh2 is not authoritative. */
export const dialWithSsh2 = async (
  login: PreparedLogin,
  context: DialContext,
): Promise<DialResult> => {
  const { target } = login
  const { deps, signal, reportJumpHost, trace, limits } = context
  const phases: Phases = {}
  let unreachableAddresses: string[] = []
  let via: string
  let proxy: ProxyStream | null = null
  const proxyCommand = proxyShellCommand(
    target,
    login.command,
    Math.ceil(limits.connectMs / 1000),
  )
  let stream
  if (proxyCommand !== null) {
    proxy = openProxy(proxyCommand, target.proxyJump ?? 'ProxyCommand', deps.env)
    stream = proxy.stream
    via = `proxy ${proxy.name}`
    trace('connect', `through ${via}`)
  } else {
    const localAddresses = bindAddresses(target.options)
    const tcp = await connectTcp(
      target.hostname,
      target.port,
      target.family,
      limits.connectMs,
      signal,
      localAddresses,
    )
    if (tcp.dnsSeconds !== null) phases.dns = tcp.dnsSeconds
    if (tcp.tcpSeconds !== null) phases.tcp = tcp.tcpSeconds
    trace('connect', formatConnect(target, tcp))
    const trouble = tcp.ok ? null : localTrouble(tcp.localCode ?? null)
    if (trouble) return { outcome: trouble, connection: null }
    const option = tcp.ok ? null : await explainConnect(target, tcp.kind, signal)
    if (option) return failed('ssh_option', option, buildLoginValue(login, phases))
    if (!tcp.ok)
      return failed(
        tcp.kind,
        // The name that ssh cannot resolve: an alias, or `host:port` of Nix before 2.31
        {
          ...withPort(target, tcp.params),
          ...(tcp.kind === 'dns' ? { host: target.hostname } : {}),
        },
        buildLoginValue(login, phases),
      )
    unreachableAddresses = tcp.failedAddresses
      .filter(d => d.seconds >= slowAddressSeconds)
      .map(d => d.address)
    stream = tcp.socket
    via = `${tcp.address} port ${target.port}`
  }

  const result = await loginWithSsh2({
    keepalive: deps.keepalive?.() ?? defaultKeepalive,
    stream,
    user: target.user,
    identities: login.identities.usable,
    // With IdentitiesOnly ssh offers only agent keys that are identity files; OpenSSH does that when it confirms a failure
    agent: target.identitiesOnly ? null : target.agent,
    preferredTypes: knownTypes(login.policy),
    verifyHostKey: blob => {
      const hostKeyCheck = verifyHostKey(login.policy, blob)
      trace('host key', formatHostKeyCheck(hostKeyCheck))
      return hostKeyCheck
    },
    trace,
    timeouts: {
      bannerMs: limits.bannerMs + (proxy ? proxyMs : 0),
      totalMs: limits.totalMs,
    },
    signal,
  })
  // Any received byte shows that the jump host works
  if (result.stage !== 'banner') reportJumpHost(null)
  addPhases(phases, result)
  const value: LoginValue = {
    ...buildLoginValue(login, phases, via),
    hostKey: result.hostKeyCheck?.hostKey ?? null,
    unreachableAddresses,
    ...(result.identity === null ? {} : { identity: result.identity }),
  }
  if (result.error !== null)
    trace(
      'login failed',
      `${result.error}, in stage ${result.stage}; the server sent ${JSON.stringify(result.firstBytes)}`,
    )
  if (result.connection) {
    const opened = await firstChannel(login.builder, result.connection, phases, signal)
    trace('channel', 'error' in opened ? opened.error : storeCommand(login.builder))
    if ('error' in opened) {
      result.connection.close()
      if (opened.error.includes('Channel open failure'))
        return failed('sessions_forbidden', {}, value)
      if (!signal.aborted && /closed|ECONNRESET|not connected/i.test(opened.error))
        return failed(
          'session_ended',
          { detail: 'sshd closes the connection after the login' },
          value,
        )
      const kind = classify(opened.error)?.kind ?? 'connection_lost'
      return failed(
        signal.aborted ? 'login_timeout' : kind,
        { detail: opened.error },
        value,
      )
    }
    return {
      outcome: toOutcome(login, value, result.banner),
      connection: opened.connection,
    }
  }
  const proxyStderr = (await proxy?.stderrTail()) ?? ''
  if (proxyStderr) trace('proxy stderr', proxyStderr)
  proxy?.close()
  const failure = classifyLogin(login, result, proxyStderr)
  if (isJumpHostFailure(target, proxyStderr)) {
    const jumpFailure = await reportJumpHostFailure(
      login,
      context,
      withoutConfirmation(failure),
    )
    return { outcome: withValue(jumpFailure, value), connection: null }
  }
  const behind = describeBehindJump(target, proxyStderr, failure)
  const params = withPort(target, behind.params)
  const outcome = { ...failure, kind: behind.kind, params, value } as const
  if (failure.confirmWithOpenssh && !deps.resolve)
    return confirmWithOpenssh(login, context, outcome)
  return { outcome: withoutConfirmation(outcome), connection: null }
}

const withPort = (target: SshTarget, params: Params): Params => ({
  ...params,
  port: String(target.port),
})

const failed = (kind: Kind, params: Params, value: LoginValue): DialResult => ({
  outcome: { status: 'failed', kind, params, value },
  connection: null,
})

const addPhases = (phases: Phases, { stageSeconds }: Ssh2Login): void => {
  if (stageSeconds.banner !== undefined) phases.banner = stageSeconds.banner
  if (stageSeconds.kex !== undefined)
    phases.kex = stageSeconds.kex - (stageSeconds.banner ?? 0)
  if (stageSeconds.auth !== undefined)
    phases.auth = stageSeconds.auth - (stageSeconds.kex ?? 0)
}

/** Returns ok, or degraded for a login with a problem. */
const toOutcome = (
  login: PreparedLogin,
  value: LoginValue,
  banner: string,
): Outcome<LoginValue> => {
  const reply = findHookReply(login, banner)
  if (reply !== null)
    return {
      status: 'degraded',
      kind: 'bad_hook_reply',
      params: { detail: reply },
      value,
    }
  if (value.unreachableAddresses.length > 0)
    return {
      status: 'degraded',
      kind: 'dead_address',
      params: { dead: value.unreachableAddresses.join(', ') },
      value,
    }
  if (value.hostKey?.verifiedBy === 'none' && value.transport === 'ssh2')
    return {
      status: 'degraded',
      kind: 'host_key_unpinned',
      params: { detail: login.policy.strict },
      value,
    }
  return { status: 'ok', value }
}

const withoutConfirmation = <T extends LoginFailure>({
  confirmWithOpenssh: _,
  ...outcome
}: T): Omit<T, 'confirmWithOpenssh'> => outcome
