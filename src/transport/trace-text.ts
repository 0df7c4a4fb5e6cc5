import type { Reached } from './addresses.ts'
import type { HostKeyVerdict } from './host-key.ts'
import type { Login } from './prepare.ts'
import type { SshCommand } from './ssh-command.ts'
import type { SshTarget } from './ssh-config.ts'

/**
 * What ssh would do, without what may be secret: of NIX_SSHOPTS only the names of the options, of a ProxyCommand only that
 * there is one.
 */
export const targetText = (command: SshCommand, target: SshTarget): string =>
  [
    `ssh ${[...optionNames(command.options), '--', command.destination].join(' ')}`,
    `connects to ${target.hostname} port ${target.port} as ${target.user}`,
    ...(target.proxyJump ? [`jumps by ${target.proxyJump}`] : []),
    ...(target.proxyCommand ? ['goes through a ProxyCommand'] : []),
    `identity files ${listed(target.identityFiles)}`,
    `agent ${target.agent ?? 'none'}`,
    `known hosts ${listed([...target.userKnownHosts, ...target.globalKnownHosts])}`,
    `looks for ${target.hostKeyAlias ?? target.hostname}, StrictHostKeyChecking ${target.strict}`,
  ].join('\n')

/** The words that Nix itself adds have harmless values. */
const plainOptions = new Set(['-i', '-p', '-F', '-l'])

const optionNames = (options: readonly string[]): string[] => {
  const names: string[] = []
  for (let i = 0; i < options.length; i++) {
    const word = options[i]!
    const name = word.slice(0, 2)
    const isSplit = word === name && i + 1 < options.length && /^-[A-Za-z]$/.test(name)
    if (plainOptions.has(name)) {
      names.push(isSplit ? `${word} ${options[++i]!}` : word)
    } else if (name === '-o') {
      const text = isSplit ? options[++i]! : word.slice(2)
      names.push(`-o ${/^\s*\w+/.exec(text)?.[0].trim() ?? ''}=...`)
    } else names.push(word.startsWith('-') ? name : '...')
  }
  return names
}

const listed = (words: readonly string[]): string => words.join(', ') || 'none'

/** Keys by their paths, host keys by their number. */
export const preparedText = ({ identities, certificates, policy }: Login): string =>
  [
    `usable keys ${listed(identities.usable.map(({ path }) => path))}`,
    ...identities.problems.map(
      ({ kind, params }) =>
        `${params['key'] ?? ''}: ${[kind, params['detail']].filter(Boolean).join(', ')}`,
    ),
    ...(identities.opensshOnly.length > 0
      ? [`for the real ssh only ${listed(identities.opensshOnly)}`]
      : []),
    ...(certificates.length > 0
      ? [`certificates ${listed(certificates.map(({ source }) => source))}`]
      : []),
    `${policy.pinned.length} pinned host keys, ${policy.known.length} in known_hosts, for ${listed(policy.names)}`,
  ].join('\n')

export const reachedText = (target: SshTarget, reached: Reached): string => {
  const { dnsSeconds, tcpSeconds } = reached
  return [
    `${target.hostname} looked up in ${ms(dnsSeconds)}`,
    ...(reached.ok
      ? [
          ...reached.dead.map(
            ({ address, kind, seconds }) => `${address}: ${kind} after ${ms(seconds)}`,
          ),
          `${reached.address} port ${target.port} connected in ${ms(tcpSeconds ?? 0)}`,
        ]
      : [
          `${reached.kind} ${reached.params['detail'] ?? reached.params['address'] ?? ''}`.trim() +
            (tcpSeconds === null ? '' : ` after ${ms(tcpSeconds)}`),
        ]),
  ].join('\n')
}

export const verdictText = (verdict: HostKeyVerdict): string =>
  `${verdict.seen.type} ${verdict.seen.fingerprint}: ${
    verdict.accepted
      ? `verified by ${verdict.seen.verifiedBy}`
      : [verdict.kind, verdict.params['detail']].filter(Boolean).join(', ')
  }`

const ms = (seconds: number): string => `${Math.round(seconds * 1000)} ms`
