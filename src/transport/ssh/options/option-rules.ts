import { isIP } from 'node:net'
import { atLeast } from '../../../nix/dialect.ts'

/** Values by option in lower case, in the order of `ssh -G`. */
export type SshOptions = ReadonlyMap<string, readonly string[]>

/** What rules need to know about this machine. */
export interface OptionFacts {
  readonly nixVersion: string | null
  readonly localAddresses: ReadonlySet<string>
  readonly interfaces: ReadonlySet<string>
  /** Ports and socket paths on which a program of this machine listens. */
  readonly listening: ReadonlySet<string>
  /** Paths of the options that do not exist or are not readable. */
  readonly missingPaths: ReadonlySet<string>
  /** Types of the private keys that would be offered; empty if unknown. */
  readonly keyTypes: readonly string[]
}

/** When an option takes effect. */
export type OptionStage = 'connect' | 'kex' | 'host_key' | 'auth' | 'session'

/** How one option of ssh_config(5) can stop builds. Which of them do was tried with real builds: docs/ssh.md. */
export interface OptionRule {
  /** As ssh_config(5) spells it. */
  readonly option: string
  readonly stage: OptionStage
  /** Returns what it does to a build; null if this value is harmless. */
  readonly effect: (
    value: string,
    options: SshOptions,
    facts: OptionFacts,
  ) => string | null
  /** The value to set for builders. */
  readonly use: string
  /** True if the effect is certain, so that no failure is needed to report it. */
  readonly isCertain?: boolean
  /** True if our own ssh overrides it, so that only a build of Nix shows the effect. */
  readonly isOverridden?: boolean
}

const first = (options: SshOptions, option: string): string =>
  options.get(option)?.[0] ?? ''
const isYes = (value: string): boolean => value === 'yes' || value === 'true'
const restricts =
  (what: string): OptionRule['effect'] =>
  () =>
    `it restricts ${what}`

/** Returns the port or the socket path of a LocalForward or DynamicForward: `[127.0.0.1]:45001 [host]:22` or a path. */
export const listenerOf = (forward: string): string => {
  const [listen = ''] = forward.split(' ', 1)
  return listen.startsWith('/') ? listen : listen.slice(listen.lastIndexOf(':') + 1)
}

const forwards = ['localforward', 'dynamicforward', 'remoteforward'] as const

export const optionRules: readonly OptionRule[] = [
  {
    option: 'RequestTTY',
    stage: 'session',
    effect: value =>
      value === 'force'
        ? 'ssh opens a terminal, which changes the bytes of the Nix protocol, so builds hang'
        : null,
    use: 'no',
    isCertain: true,
  },
  {
    option: 'RemoteCommand',
    stage: 'session',
    effect: value =>
      value === 'none' ? null : 'ssh then refuses to run the command of Nix',
    use: 'none',
    isCertain: true,
  },
  {
    option: 'StdinNull',
    stage: 'session',
    effect: value =>
      isYes(value)
        ? 'ssh reads /dev/null instead of the Nix protocol (-n, and -f as well)'
        : null,
    use: 'no',
    isCertain: true,
  },
  {
    option: 'SessionType',
    stage: 'session',
    effect: value =>
      value === 'none'
        ? 'ssh does not start the command of Nix (-N and -W do the same)'
        : value === 'subsystem'
          ? 'ssh requests a subsystem instead of the command of Nix'
          : null,
    use: 'default',
    isCertain: true,
  },
  {
    option: 'LocalCommand',
    stage: 'session',
    // Nix 2.15 and later set their own
    effect: (value, options, { nixVersion }) =>
      value !== 'none' &&
      isYes(first(options, 'permitlocalcommand')) &&
      !atLeast(nixVersion, 2, 15)
        ? 'Nix before 2.15 reads its output as part of the Nix protocol'
        : null,
    use: 'none',
  },
  {
    option: 'ControlPath',
    stage: 'session',
    effect: (value, options, { missingPaths }) =>
      value !== 'none' &&
      first(options, 'controlmaster') !== 'false' &&
      missingPaths.has(value)
        ? 'the directory of the control socket does not exist'
        : null,
    use: 'none',
    isCertain: true,
    isOverridden: true,
  },
  {
    option: 'ControlMaster',
    stage: 'session',
    effect: (value, options) =>
      (value === 'ask' || value === 'autoask') &&
      first(options, 'controlpath') !== '' &&
      first(options, 'controlpath') !== 'none'
        ? 'ssh asks for a confirmation, which no build can give'
        : null,
    use: 'no',
    isCertain: true,
    isOverridden: true,
  },
  {
    option: 'ExitOnForwardFailure',
    stage: 'session',
    effect: (value, options, { listening }) => {
      if (!isYes(value) || isYes(first(options, 'clearallforwardings'))) return null
      const taken = [
        ...(options.get('localforward') ?? []),
        ...(options.get('dynamicforward') ?? []),
      ].find(forward => listening.has(listenerOf(forward)))
      return taken === undefined
        ? null
        : `another program listens on ${listenerOf(taken)}, so ssh ends before a build`
    },
    use: 'no',
    isCertain: true,
    isOverridden: true,
  },
  {
    option: 'ExitOnForwardFailure',
    stage: 'session',
    isCertain: true,
    effect: (value, options) =>
      isYes(value) &&
      !isYes(first(options, 'clearallforwardings')) &&
      (forwards.some(name => options.has(name)) ||
        !['', 'false', 'no'].includes(first(options, 'tunnel')))
        ? 'only one build at a time can open the forwardings; all others end'
        : null,
    use: 'no',
    isOverridden: true,
  },
  {
    option: 'BindAddress',
    stage: 'connect',
    effect: (value, _options, { localAddresses }) =>
      isIP(value) !== 0 && !localAddresses.has(value)
        ? 'this machine does not have that address'
        : 'connections start from it',
    use: '0.0.0.0',
  },
  {
    option: 'BindInterface',
    stage: 'connect',
    effect: (value, _options, { interfaces }) =>
      value === 'none'
        ? null
        : interfaces.has(value)
          ? 'connections start from it'
          : 'this machine does not have that interface',
    use: 'none',
  },
  {
    option: 'ProxyUseFdpass',
    stage: 'connect',
    effect: value =>
      isYes(value) ? 'the ProxyCommand does not pass a connected socket to ssh' : null,
    use: 'no',
  },
  { option: 'Ciphers', stage: 'kex', effect: restricts('the ciphers'), use: '' },
  { option: 'MACs', stage: 'kex', effect: restricts('the MACs'), use: '' },
  {
    option: 'KexAlgorithms',
    stage: 'kex',
    effect: restricts('the key exchange methods'),
    use: '',
  },
  {
    option: 'HostKeyAlgorithms',
    stage: 'kex',
    effect: restricts('the types of host keys'),
    use: '',
  },
  {
    option: 'CASignatureAlgorithms',
    stage: 'host_key',
    effect: restricts('the signatures of host certificates'),
    use: '',
  },
  {
    option: 'RequiredRSASize',
    stage: 'host_key',
    effect: () => 'RSA keys of fewer bits are rejected',
    use: '2048',
  },
  {
    option: 'RevokedHostKeys',
    stage: 'host_key',
    effect: (value, _options, { missingPaths }) =>
      value === 'none'
        ? null
        : missingPaths.has(value)
          ? 'the file is not readable, so ssh rejects every host key'
          : 'the host key is in this file',
    use: 'none',
  },
  {
    option: 'KnownHostsCommand',
    stage: 'host_key',
    effect: value =>
      value === 'none' ? null : 'the command failed, so ssh rejects every host key',
    use: 'none',
  },
  {
    option: 'PubkeyAuthentication',
    stage: 'auth',
    effect: value =>
      value === 'no' || value === 'false' ? 'ssh does not offer the private key' : null,
    use: 'yes',
    isCertain: true,
  },
  {
    option: 'PreferredAuthentications',
    stage: 'auth',
    effect: value =>
      value.split(',').includes('publickey')
        ? null
        : 'ssh does not offer the private key',
    use: 'publickey',
    isCertain: true,
  },
  {
    option: 'PubkeyAcceptedAlgorithms',
    stage: 'auth',
    effect: (value, _options, { keyTypes }) => {
      const accepted = value.split(',')
      const isUsable = (type: string) =>
        type === 'ssh-rsa'
          ? accepted.some(name => /^rsa-sha2-|^ssh-rsa$/.test(name))
          : accepted.includes(type)
      return keyTypes.length > 0 && !keyTypes.some(isUsable)
        ? `ssh does not offer the private key, which is of type ${keyTypes.join(', ')}`
        : 'it restricts the signatures of private keys'
    },
    use: '',
  },
]
