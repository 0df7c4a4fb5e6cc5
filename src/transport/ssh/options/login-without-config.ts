import type { Builder } from '../../../model/index.ts'
import { opensshConnection } from '../openssh.ts'
import {
  buildLoginValue,
  prepareLogin,
  type DialContext,
  type DialResult,
} from '../prepare-login.ts'
import type { SshCommand } from '../ssh-command.ts'
import { parseTarget } from '../ssh-config.ts'
import { toFault, withOrigin, type OptionFault } from './check-options.ts'
import { handshakeAsNix } from './handshake.ts'
import { parseSshWords } from './ssh-words.ts'
import { findRiskyWords } from './risky-options.ts'

/**
 * Logs in where `ssh -G` fails. Where ssh itself works as Nix runs it, the builder is reached through OpenSSH; otherwise
 * the reason of ssh -G is the cause. `quotes` is what is wrong with the quotes of NIX_SSHOPTS.
 */
export const loginWithoutConfig = async (
  builder: Builder,
  command: SshCommand,
  failure: Extract<DialResult['outcome'], { status: 'failed' }>,
  quotes: string | null,
  context: DialContext,
): Promise<DialResult> => {
  const { deps, signal, trace } = context
  const isAboutConfig =
    failure.kind === 'ssh_config_invalid' || failure.kind === 'ssh_option'
  if (!isAboutConfig) return { outcome: failure, connection: null }
  const at = command.destination.lastIndexOf('@')
  const target = parseTarget(
    [
      `hostname ${command.pinnedHostName}`,
      ...(at > 0 ? [`user ${command.destination.slice(0, at)}`] : []),
    ].join('\n'),
    deps.env,
  )
  const login = await prepareLogin(builder, command, target, deps, signal)
  const { pinnedLine } = login
  const result = await handshakeAsNix({
    builder,
    command,
    pinnedLine,
    options: null,
    nix: deps.nix(),
    env: deps.env,
    signal,
  })
  trace(`handshake with ssh as Nix runs it: ${result.status}`, result.stderr)
  const value = buildLoginValue(login)
  if (result.status !== 'ok') {
    const { kind, params } = await findCause(builder, command, failure, context)
    return {
      outcome: {
        ...failure,
        kind,
        params: { ...params, ...(quotes === null ? {} : { detail: quotes }) },
      },
      connection: null,
    }
  }
  return {
    outcome: {
      status: 'degraded',
      kind: failure.kind,
      params: failure.params,
      value: { ...value, transport: 'openssh' },
    },
    connection: opensshConnection(command, pinnedLine, deps.env),
  }
}

/** A word of NIX_SSHOPTS that makes ssh do something else, or the reason of ssh -G. */
const findCause = async (
  builder: Builder,
  command: SshCommand,
  failure: OptionFault,
  { deps: { run, env }, signal }: DialContext,
): Promise<OptionFault> => {
  const [word] = findRiskyWords(parseSshWords(command.nixSshOpts))
  const sources = { command, run, env, signal }
  return word ? toFault(word, builder, '', sources) : withOrigin(failure, sources)
}
