import type { Builder, Connection, LoginValue, Outcome } from '../model.ts'
import type { Kind, Params } from '../diagnosis/kinds.ts'
import { classify } from '../diagnosis/messages.ts'
import { evidenceOf, oneLine } from '../diagnosis/text.ts'
import { storeCommand } from '../nix/store-command.ts'
import { reach } from './addresses.ts'
import { judgeHostKey, knownTypes } from './host-key.ts'
import { isFaultOfJump } from './jump-fault.ts'
import { blame, confirm, withValue, type Red } from './judge.ts'
import {
  loginValue,
  type Dialled,
  type Login,
  type Phases,
  type Trip,
} from './prepare.ts'
import { openProxy, proxyShellCommand, type ProxyStream } from './proxy.ts'
import type { SshTarget } from './ssh-config.ts'
import { loginWithSsh2, type Ssh2Login } from './ssh2.ts'
import { reachedText, verdictText } from './trace-text.ts'

/** Seconds; OpenSSH would wait for the kernel, about two minutes. */
const connectTimeoutSeconds = 5
const bannerMs = 5000
const totalMs = 10_000
/** A dead address that costs less than this hurts nobody (an IPv6 address without a route fails at once). */
const costlySeconds = 1

/** Reaches the host and logs in with ssh2; what only the real ssh may call red is asked of it. */
export const dialWithSsh2 = async (login: Login, trip: Trip): Promise<Dialled> => {
  const { target } = login
  const { deps, signal, tell, trace } = trip
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
    trace('connect', `through ${via}`)
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
    trace('connect', reachedText(target, reached))
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
    judge: blob => {
      const verdict = judgeHostKey(login.policy, blob)
      trace('host key', verdictText(verdict))
      return verdict
    },
    trace,
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
  if (result.error !== null)
    trace(
      'the login ended',
      `${result.error}, in stage ${result.stage}; the server said ${JSON.stringify(result.firstBytes)}`,
    )
  if (result.connection) {
    const ready = await firstChannel(login.builder, result.connection, phases, signal)
    trace('channel', 'error' in ready ? ready.error : storeCommand(login.builder))
    if ('error' in ready) {
      result.connection.close()
      return failed('connection_lost', { detail: ready.error }, value)
    }
    return { outcome: judged(login, value), connection: ready.connection }
  }
  const proxyText = (await proxy?.lastWords()) ?? ''
  if (proxyText) trace('the proxy says', proxyText)
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

const withPort = (target: SshTarget, params: Params): Params => ({
  ...params,
  port: String(target.port),
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
