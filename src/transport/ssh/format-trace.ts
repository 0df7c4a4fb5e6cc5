import type { ConnectResult } from './tcp-connect.ts'
import type { HostKeyCheck } from './host-key.ts'
import type { PreparedLogin } from './prepare-login.ts'
import type { SshCommand } from './ssh-command.ts'
import type { SshTarget } from './ssh-config.ts'

/**
 * Formats what ssh would do, without possible secrets: only the option names of NIX_SSHOPTS, only the existence of a
 * ProxyCommand.
 */
export const formatTarget = (command: SshCommand, target: SshTarget): string =>
  [
    `ssh ${[...optionNames(command.options), '--', command.destination].join(' ')}`,
    `connects to ${target.hostname} port ${target.port} as ${target.user}`,
    ...(target.proxyJump ? [`jumps through ${target.proxyJump}`] : []),
    ...(target.proxyCommand ? ['uses a ProxyCommand'] : []),
    `identity files ${joinOrNone(target.identityFiles)}`,
    `agent ${target.agent ?? 'none'}`,
    `known hosts ${joinOrNone([...target.userKnownHosts, ...target.globalKnownHosts])}`,
    `host key name ${target.hostKeyAlias ?? target.hostname}, StrictHostKeyChecking ${target.strict}`,
  ].join('\n')

/** Options that Nix itself adds; their values are not secret. */
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

const joinOrNone = (items: readonly string[]): string => items.join(', ') || 'none'

/** Formats paths of keys and numbers of host keys. */
export const formatPreparedLogin = ({
  identities,
  certificates,
  policy,
}: PreparedLogin): string =>
  [
    `usable keys ${joinOrNone(identities.usable.map(({ path }) => path))}`,
    ...identities.problems.map(
      ({ kind, params }) =>
        `${params['key'] ?? ''}: ${[kind, params['detail']].filter(Boolean).join(', ')}`,
    ),
    ...(identities.opensshOnly.length > 0
      ? [`only for OpenSSH ${joinOrNone(identities.opensshOnly)}`]
      : []),
    ...(certificates.length > 0
      ? [`certificates ${joinOrNone(certificates.map(({ source }) => source))}`]
      : []),
    `${policy.pinned.length} pinned host keys, ${policy.known.length} in known_hosts, for ${joinOrNone(policy.names)}`,
  ].join('\n')

export const formatConnect = (target: SshTarget, result: ConnectResult): string => {
  const { dnsSeconds, tcpSeconds } = result
  return [
    dnsSeconds === null
      ? `${target.hostname} not resolved`
      : `${target.hostname} resolved in ${ms(dnsSeconds)}`,
    ...(result.ok
      ? [
          ...result.failedAddresses.map(
            ({ address, kind, seconds }) => `${address}: ${kind} after ${ms(seconds)}`,
          ),
          `${result.address} port ${target.port} connected in ${ms(tcpSeconds ?? 0)}`,
        ]
      : [
          `${result.kind} ${result.params['detail'] ?? result.params['address'] ?? ''}`.trim() +
            (tcpSeconds === null ? '' : ` after ${ms(tcpSeconds)}`),
        ]),
  ].join('\n')
}

export const formatHostKeyCheck = (check: HostKeyCheck): string =>
  `${check.hostKey.type} ${check.hostKey.fingerprint}: ${
    check.accepted
      ? `verified by ${check.hostKey.verifiedBy}`
      : [check.kind, check.params['detail']].filter(Boolean).join(', ')
  }`

const ms = (seconds: number): string => `${Math.round(seconds * 1000)} ms`
