import {
  noTrace,
  type Builder,
  type Dial,
  type LoginValue,
  type Outcome,
  type Params,
} from '../../model/index.ts'
import { confirmWithOpenssh, withValue } from './confirm-with-openssh.ts'
import type { JumpHostFailure } from './jump-host-failure.ts'
import { createJumpHostCache, type JumpHostCache } from './jump-host-cache.ts'
import { dialWithSsh2 } from './dial-ssh2.ts'
import {
  buildLoginValue,
  loginLimits,
  needsOpenssh,
  prepareLogin,
  type DialDeps,
  type DialResult,
  type PreparedLogin,
} from './prepare-login.ts'
import { createOptionCheck } from './options/check-options.ts'
import { loginWithoutConfig } from './options/login-without-config.ts'
import { forOwnSessions } from './options/own-sessions.ts'
import { verifyOptions } from './options/verify-options.ts'
import { configuredKeyFile, explainSshOpts, sshCommand } from './ssh-command.ts'
import { parseFloodReason } from './traffic-budget.ts'
import { resolveTarget, type SshTarget } from './ssh-config.ts'
import { formatPreparedLogin, formatTarget } from './format-trace.ts'

/** Time after which a builder that needed OpenSSH is tried with ssh2 again. */
const opensshRetryMs = 3_600_000

/**
 * Creates a function that logs in as Nix's ssh would. `ssh -G` provides the target and its options, ssh2 logs in and
 * measures each phase. Failures of key exchange, host key or authentication are confirmed once with OpenSSH.
 */
export const createDial = (deps: DialDeps): Dial => {
  const opensshUntil = new Map<string, number>()
  const floods = new Map<string, string>()
  const jumpHosts = createJumpHostCache<JumpHostFailure>(deps.clock.monotonic)
  const optionCheck = createOptionCheck()
  const rememberTransport = (builder: Builder, result: DialResult): DialResult => {
    const { outcome } = result
    const isUp = outcome.status === 'ok' || outcome.status === 'degraded'
    if (isUp && outcome.value.transport === 'openssh')
      opensshUntil.set(builder.line, deps.clock.now() + opensshRetryMs)
    if ('kind' in outcome && outcome.kind === 'ssh_flood')
      floods.set(builder.line, outcome.params['detail'] ?? '')
    // A builder that exceeds its budget after each login would be logged in to again and again
    void result.connection?.closed.then(reason => {
      const flood = parseFloodReason(reason)
      if (flood === null) return
      floods.set(builder.line, flood)
      opensshUntil.set(builder.line, deps.clock.now() + opensshRetryMs)
    })
    return result
  }

  return async (builder, signal, trace = noTrace, deadline = 'expected') => {
    const command = sshCommand(builder, deps.nix(), deps.env['NIX_SSHOPTS'])
    if (!command)
      return {
        outcome: { status: 'skipped', kind: 'not_ssh_store', params: {} },
        connection: null,
      }
    const quotes = explainSshOpts(deps.env['NIX_SSHOPTS'], deps.nix().version)
    if (quotes?.isFatal)
      return {
        outcome: {
          status: 'failed',
          kind: 'ssh_config_invalid',
          params: { where: 'NIX_SSHOPTS', detail: quotes.detail },
        },
        connection: null,
      }
    const resolved = deps.resolve
      ? ({ status: 'ok', value: deps.resolve(builder) } as const)
      : await resolveTarget(command, deps.run, deps.env, signal)
    if (resolved.status !== 'ok') {
      trace('ssh -G', `${resolved.kind} ${resolved.params['detail'] ?? ''}`)
      if (resolved.status === 'skipped') return { outcome: resolved, connection: null }
      const failure = withoutValue(resolved)
      const detail = quotes?.detail ?? null
      return loginWithoutConfig(builder, command, failure, detail, {
        deps,
        signal,
        trace,
        limits: loginLimits(deadline, { connectTimeout: null }),
        reportJumpHost: () => undefined,
      })
    }

    const target = resolved.value
    trace('ssh -G', formatTarget(command, target))
    const login = forOwnSessions(
      await prepareLogin(builder, command, target, deps, signal),
    )
    trace('keys and known hosts', formatPreparedLogin(login))
    const inaccessible = findInaccessibleKey(login)
    if (inaccessible)
      return {
        outcome: { status: 'skipped', kind: 'key_not_accessible', params: inaccessible },
        connection: null,
      }
    const viaOpenssh =
      !deps.resolve && (opensshUntil.get(builder.line) ?? 0) > deps.clock.now()
    const onlyOpenssh = !deps.resolve && needsOpenssh(login)
    const turn = await acquireJumpHost(jumpHosts, target)
    if (typeof turn !== 'function') {
      trace('skipped', 'another login has just failed at the jump host')
      return {
        outcome: withValue(turn.failure, buildLoginValue(login)),
        connection: null,
      }
    }
    const limits = loginLimits(deadline, target)
    const context = { deps, signal, trace, limits, reportJumpHost: turn }
    const verify = (result: DialResult) =>
      deps.resolve ? result : verifyOptions(result, login, command, optionCheck, context)
    try {
      if (viaOpenssh || onlyOpenssh) {
        trace('OpenSSH first', opensshReason(onlyOpenssh))
        const flood = viaOpenssh ? floods.get(builder.line) : undefined
        const attempt = await confirmWithOpenssh(
          login,
          context,
          flood === undefined ? {} : { kind: 'ssh_flood', params: { detail: flood } },
        )
        if (attempt.connection || onlyOpenssh) return await verify(attempt)
        opensshUntil.delete(builder.line)
      }
      floods.delete(builder.line)
      return await verify(rememberTransport(builder, await dialWithSsh2(login, context)))
    } finally {
      turn(null)
    }
  }
}

const opensshReason = (onlyOpenssh: boolean): string =>
  onlyOpenssh
    ? 'only OpenSSH supports certificates, security keys and some options of ssh_config'
    : 'only OpenSSH could log in within the last hour'

/**
 * The key of the machine line, if another user owns it: builds of the daemon can use it, we cannot. A login with other keys
 * would say nothing about builds, and count as a failed one.
 */
const findInaccessibleKey = ({ builder, identities }: PreparedLogin): Params | null =>
  process.getuid?.() === 0
    ? null
    : (identities.problems.find(
        ({ kind, params }) =>
          kind === 'key_unreadable' &&
          params['detail'] === 'EACCES' &&
          params['key'] === configuredKeyFile(builder),
      )?.params ?? null)

type JumpHostTurn = Awaited<ReturnType<JumpHostCache<JumpHostFailure>['acquire']>>

const acquireJumpHost = async (
  jumpHosts: JumpHostCache<JumpHostFailure>,
  { proxyJump }: SshTarget,
): Promise<JumpHostTurn> =>
  proxyJump === null ? () => undefined : jumpHosts.acquire(proxyJump)

const withoutValue = ({
  value: _,
  ...failure
}: Extract<Outcome<unknown>, { status: 'failed' }>): Extract<
  Outcome<LoginValue>,
  { status: 'failed' }
> => failure
