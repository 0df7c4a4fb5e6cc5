import {
  optionRules,
  type OptionFacts,
  type OptionRule,
  type OptionStage,
  type SshOptions,
} from './option-rules.ts'
import { isSshFlag, type SshWord } from './ssh-words.ts'

/** An option of our own ssh configuration that may stop builds. */
export interface RiskyOption {
  /** As ssh_config(5) spells it; in lower case if this table does not have it; a word of NIX_SSHOPTS. */
  readonly option: string
  readonly value: string
  /** Null for an option whose effect on builds is unknown. */
  readonly rule: Pick<OptionRule, 'stage' | 'use' | 'isCertain' | 'isOverridden'> | null
  readonly effect: string | null
  /** The value that ssh has by default. */
  readonly defaultValue?: string
  /** The words of NIX_SSHOPTS that set it, if it is no option of ssh_config. */
  readonly word?: string
}

/**
 * Options that our login obeys, or that have no effect on a command without a terminal. All were tried with real builds
 * (docs/ssh.md). Any other option that differs from ssh's default is risky until a handshake with it succeeds.
 */
const harmless: ReadonlySet<string> = new Set([
  'addkeystoagent',
  'addressfamily',
  'batchmode',
  'canonicaldomains',
  'canonicalizefallbacklocal',
  'canonicalizehostname',
  'canonicalizemaxdots',
  'canonicalizepermittedcnames',
  'certificatefile',
  'clearallforwardings',
  'compression',
  'connectionattempts',
  'connecttimeout',
  'controlmaster',
  'controlpath',
  'controlpersist',
  'dynamicforward',
  'enableescapecommandline',
  'enablesshkeysign',
  'escapechar',
  'exitonforwardfailure',
  'fingerprinthash',
  'forkafterauthentication',
  'forwardagent',
  'forwardx11',
  'forwardx11timeout',
  'forwardx11trusted',
  'gatewayports',
  'globalknownhostsfile',
  'gssapiauthentication',
  'gssapiclientidentity',
  'gssapidelegatecredentials',
  'gssapikexalgorithms',
  'gssapikeyexchange',
  'gssapirenewalforcesrekey',
  'gssapiserveridentity',
  'gssapitrustdns',
  'hashknownhosts',
  'host',
  'hostbasedacceptedalgorithms',
  'hostbasedauthentication',
  'hostkeyalias',
  'hostname',
  'identitiesonly',
  'identityagent',
  'identityfile',
  'ipqos',
  'kbdinteractiveauthentication',
  'kbdinteractivedevices',
  'localforward',
  'loglevel',
  'logverbose',
  'nohostauthenticationforlocalhost',
  'numberofpasswordprompts',
  'obscurekeystroketiming',
  'passwordauthentication',
  'permitlocalcommand',
  'permitremoteopen',
  'port',
  'proxycommand',
  'proxyjump',
  'remoteforward',
  'sendenv',
  'serveralivecountmax',
  'serveraliveinterval',
  'stdinnull',
  'streamlocalbindmask',
  'streamlocalbindunlink',
  'stricthostkeychecking',
  'syslogfacility',
  'tag',
  'tcpkeepalive',
  'tunnel',
  'tunneldevice',
  'updatehostkeys',
  'user',
  'userknownhostsfile',
  'verifyhostkeydns',
  'versionaddendum',
  'visualhostkey',
  'warnweakcrypto',
  'xauthlocation',
])

/** Options of the command line that make ssh do something else than run a command; ssh -G does not show them. */
const effectOfFlag: Readonly<Record<string, string>> = {
  '1': 'ssh has no version 1 of the protocol',
  G: 'ssh prints its configuration instead of a login',
  O: 'ssh only controls an existing connection',
  Q: 'ssh prints a list instead of a login',
  V: 'ssh prints its version instead of a login',
  W: 'ssh forwards the Nix protocol to another address',
}

const rule = (stage: OptionStage) => ({ stage, use: '', isCertain: true })

/** Finds words of NIX_SSHOPTS that stop builds and that ssh -G does not show. */
export const findRiskyWords = (words: readonly SshWord[]): readonly RiskyOption[] =>
  words.flatMap(({ flag, value }) => {
    if (flag === null)
      return [
        {
          option: value.split(' ', 1)[0] ?? '',
          value: '',
          rule: rule('session'),
          effect: 'ssh reads it as the remote command, in front of the command of Nix',
          word: value,
        },
      ]
    const effect =
      effectOfFlag[flag] ?? (isSshFlag(flag) ? undefined : 'ssh has no such option')
    const word = value ? `-${flag} ${value}` : `-${flag}`
    return effect === undefined
      ? []
      : [{ option: word, value: '', rule: rule('session'), effect, word }]
  })

/** Finds options that may stop builds: those of the table, and those that differ from the defaults without a known effect. */
export const findRiskyOptions = (
  options: SshOptions,
  defaults: SshOptions | null,
  words: readonly SshWord[],
  facts: OptionFacts,
): readonly RiskyOption[] => {
  const known = optionRules.flatMap((rule): RiskyOption[] => {
    const key = rule.option.toLowerCase()
    const value = options.get(key)?.[0]
    if (value === undefined || isDefault(key, options, defaults)) return []
    const effect = rule.effect(value, options, facts)
    const defaultValue = defaults?.get(key)?.[0]
    if (effect === null || (defaults === null && !rule.isCertain)) return []
    return [
      {
        option: rule.option,
        value,
        rule,
        effect,
        ...(defaultValue === undefined ? {} : { defaultValue }),
      },
    ]
  })
  const names = new Set(optionRules.map(({ option }) => option.toLowerCase()))
  const unknown =
    defaults === null
      ? []
      : [...options].flatMap(([key, values]): RiskyOption[] =>
          harmless.has(key) || names.has(key) || isDefault(key, options, defaults)
            ? []
            : [{ option: key, value: values[0] ?? '', rule: null, effect: null }],
        )
  // An option with an argument since OpenSSH 9.4; before, the argument starts the remote command
  const tags = words.flatMap(({ flag, value }): RiskyOption[] =>
    flag === 'P'
      ? [{ option: '-P', value: '', rule: null, effect: null, word: `-P ${value}` }]
      : [],
  )
  return [...findRiskyWords(words), ...known, ...tags, ...unknown]
}

const isDefault = (
  key: string,
  options: SshOptions,
  defaults: SshOptions | null,
): boolean =>
  defaults !== null &&
  (options.get(key) ?? []).join('\n') === (defaults.get(key) ?? []).join('\n')
