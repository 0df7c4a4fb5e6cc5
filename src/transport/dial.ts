import {
  noTrace,
  type Builder,
  type Dial,
  type LoginValue,
  type Outcome,
} from '../model.ts'
import { confirm, withValue } from './judge.ts'
import type { JumpFault } from './jump-fault.ts'
import { createJumps, type Jumps } from './jumps.ts'
import { dialWithSsh2 } from './dial-ssh2.ts'
import {
  loginValue,
  needsOpenssh,
  prepare,
  type DialDeps,
  type Dialled,
} from './prepare.ts'
import { sshCommand } from './ssh-command.ts'
import { resolveTarget, type SshTarget } from './ssh-config.ts'
import { preparedText, targetText } from './trace-text.ts'

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

  return async (builder, signal, trace = noTrace) => {
    const command = sshCommand(builder, deps.nix(), deps.env['NIX_SSHOPTS'])
    if (!command)
      return {
        outcome: { status: 'skipped', kind: 'not_remote', params: {} },
        connection: null,
      }
    const resolved = deps.resolve
      ? ({ status: 'ok', value: deps.resolve(builder) } as const)
      : await resolveTarget(command, deps.run, deps.env, signal)
    if (resolved.status === 'failed') {
      trace('ssh -G', `${resolved.kind} ${resolved.params['detail'] ?? ''}`)
      return { outcome: withoutValue(resolved), connection: null }
    }

    const target = resolved.value
    trace('ssh -G', targetText(command, target))
    const login = await prepare(builder, command, target, deps, signal)
    trace('what may be offered and trusted', preparedText(login))
    const viaOpenssh =
      !deps.resolve && (opensshUntil.get(builder.line) ?? 0) > deps.clock.now()
    const onlyOpenssh = !deps.resolve && needsOpenssh(login)
    const way = await enter(jumps, target)
    if (typeof way !== 'function') {
      trace('not tried', `another builder has just found that the jump host is at fault`)
      return { outcome: withValue(way.fault, loginValue(login)), connection: null }
    }
    const trip = { deps, signal, trace, tell: way }
    try {
      if (viaOpenssh || onlyOpenssh) {
        trace('the real ssh is asked first', why(onlyOpenssh))
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

const why = (onlyOpenssh: boolean): string =>
  onlyOpenssh
    ? 'only it knows certificates and security keys'
    : 'only it could log in within the last hour'

type Way = Awaited<ReturnType<Jumps<JumpFault>['enter']>>

const enter = async (jumps: Jumps<JumpFault>, { proxyJump }: SshTarget): Promise<Way> =>
  proxyJump === null ? () => undefined : jumps.enter(proxyJump)

const withoutValue = ({
  value: _,
  ...failure
}: Extract<Outcome<unknown>, { status: 'failed' }>): Outcome<LoginValue> => failure
