import { classify } from '../diagnosis/messages.ts'
import { oneLine } from '../diagnosis/text.ts'
import type { Kind, Params } from '../diagnosis/kinds.ts'
import { shellQuote } from '../nix/store-command.ts'
import { configFile, lastHop } from './proxy.ts'
import type { resolveTarget, SshTarget } from './ssh-config.ts'
import type { SshCommand } from './ssh-command.ts'

/** What is wrong with a jump host; the same for all builders behind it. */
export interface JumpFault {
  readonly status: 'failed' | 'busy'
  readonly kind: Kind
  readonly params: Params
  readonly evidence?: string
}

/**
 * True where ssh's words tell that the way to the jump host is broken, and not the way from there to the builder, of
 * which it says `channel 0: open failed` and `stdio forwarding failed` (channels.c, clientloop.c).
 */
export const isFaultOfJump = (
  { proxyJump }: Pick<SshTarget, 'proxyJump'>,
  said: string,
): boolean =>
  proxyJump !== null &&
  classify(said) !== null &&
  !/open failed:|stdio forwarding failed/.test(said)

export interface JumpConfig {
  /** Options of the ssh whose jump it is: the jump reads the same configuration file. */
  readonly sshOptions: readonly string[]
  /** `ssh -G` of the jump host. */
  readonly resolve: (
    jump: Pick<SshCommand, 'destination' | 'options'>,
  ) => ReturnType<typeof resolveTarget>
}

/** Makes a fault speak of the (last) jump host: its name, port, user and key take the place of the builder's. */
export const blameJump = async (
  fault: JumpFault,
  proxyJump: string,
  { sshOptions, resolve }: JumpConfig,
): Promise<JumpFault> => {
  const { host, user, port } = lastHop(proxyJump)
  const config = configFile(sshOptions)
  const destination = user === null ? host : `${user}@${host}`
  const options = [
    ...(config === null ? [] : ['-F', config]),
    ...(port === null ? [] : ['-p', port]),
  ]
  const found = await resolve({ destination, options })
  const known = found.status === 'ok' ? found.value : null
  const [key] = known?.identityFiles ?? []
  return {
    ...fault,
    params: {
      ...fault.params,
      jump: oneLine(proxyJump),
      host,
      dest: shellQuote(destination),
      user: known?.user ?? user ?? 'root',
      port: String(known?.port ?? port ?? 22),
      address: fault.params['address'] ?? known?.hostname ?? host,
      ssh: ['sudo ssh', ...options.map(shellQuote)].join(' '),
      ...(key === undefined ? {} : { key: shellQuote(key) }),
    },
  }
}
