import { classify } from '../../diagnosis/classify.ts'
import { oneLine } from '../../text/truncate.ts'
import type { Kind, Params } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import { findConfigFile, parseLastHop } from './proxy.ts'
import type { resolveTarget, SshTarget } from './ssh-config.ts'
import type { SshCommand } from './ssh-command.ts'

/** A failure of a jump host; the same for all builders behind it. */
export interface JumpHostFailure {
  readonly status: 'failed' | 'busy'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
}

/**
 * Whether ssh's stderr shows a failure of the jump host itself. A failure between jump host and builder is reported as
 * `channel 0: open failed` and `stdio forwarding failed` (channels.c, clientloop.c).
 */
export const isJumpHostFailure = (
  { proxyJump }: Pick<SshTarget, 'proxyJump'>,
  stderr: string,
): boolean =>
  proxyJump !== null &&
  classify(stderr) !== null &&
  (/open failed: administratively prohibited/.test(stderr) ||
    !/open failed:|stdio forwarding failed/.test(stderr))

/**
 * Completes a failure between jump host and builder: the fixes run on the jump host, and a name that it cannot resolve is
 * its side.
 */
export const describeBehindJump = (
  { proxyJump, hostname }: Pick<SshTarget, 'proxyJump' | 'hostname'>,
  stderr: string,
  failure: { readonly kind: Kind; readonly params: Params },
): { readonly kind: Kind; readonly params: Params } => {
  if (proxyJump === null || !/open failed: connect failed/.test(stderr)) return failure
  const { host, user } = parseLastHop(proxyJump)
  const params = {
    ...failure.params,
    behind: user === null ? host : `${user}@${host}`,
    address: hostname,
  }
  return { kind: failure.kind === 'dns' ? 'jump_dns' : failure.kind, params }
}

export interface JumpHostConfig {
  /** Options of the outer ssh: the jump reads the same configuration file. */
  readonly sshOptions: readonly string[]
  /** Runs `ssh -G` for the jump host. */
  readonly resolve: (
    jump: Pick<SshCommand, 'destination' | 'options'>,
  ) => ReturnType<typeof resolveTarget>
}

/** Replaces name, port, user and key of the builder in a failure by those of the (last) jump host. */
export const attributeToJumpHost = async (
  failure: JumpHostFailure,
  proxyJump: string,
  { sshOptions, resolve }: JumpHostConfig,
): Promise<JumpHostFailure> => {
  const { host, user, port } = parseLastHop(proxyJump)
  const config = findConfigFile(sshOptions)
  const destination = user === null ? host : `${user}@${host}`
  const options = [
    ...(config === null ? [] : ['-F', config]),
    ...(port === null ? [] : ['-p', port]),
  ]
  const resolved = await resolve({ destination, options })
  const target = resolved.status === 'ok' ? resolved.value : null
  const [key] = target?.identityFiles ?? []
  return {
    ...failure,
    params: {
      ...failure.params,
      jump: oneLine(proxyJump),
      host,
      dest: shellQuote(destination),
      user: target?.user ?? user ?? 'root',
      port: String(target?.port ?? port ?? 22),
      address: failure.params['address'] ?? target?.hostname ?? host,
      ssh: ['ssh', ...options.map(shellQuote)].join(' '),
      ...(key === undefined ? {} : { key }),
    },
  }
}
