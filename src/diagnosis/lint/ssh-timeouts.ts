import type { Builder, Finding, SshTimeouts } from '../../model/index.ts'
import type { NixDialect } from '../../nix/dialect.ts'
import { sshDestination } from '../../nix/machines/store-uri.ts'

/**
 * Finds builders for which the ssh of Nix has no timeouts. Once for all of them: one block of ssh_config has their names.
 * ConnectTimeout covers the connection and the key exchange (ssh_config(5)); after 2 unanswered keepalives, 15 s with an
 * interval of 5 s, ssh ends the connection (clientloop.c server_alive_check).
 */
export const lintSshTimeouts = (
  builders: readonly Builder[],
  timeouts: SshTimeouts,
  dialect: NixDialect,
): readonly Finding[] => {
  const hosts = (lacks: (one: SshTimeouts['builders'][number]) => boolean) => {
    const names = new Set(timeouts.builders.filter(lacks).map(one => one.builder))
    return [
      ...new Set(
        builders
          .filter(({ name }) => names.has(name))
          .flatMap(builder => hostPattern(builder, dialect) ?? []),
      ),
    ]
  }
  const whose = timeouts.user === null ? 'this user' : timeouts.user
  const file =
    timeouts.user === null || timeouts.user === 'root'
      ? '/etc/ssh/ssh_config'
      : `~${timeouts.user}/.ssh/config`
  const unless = timeouts.isEnvironmentKnown
    ? ''
    : ', unless NIX_SSHOPTS of nix-daemon has it'
  const finding = (
    rule: string,
    hosts: readonly string[],
    option: string,
    consequence: string,
    lines: readonly string[],
  ): Finding[] =>
    hosts.length === 0
      ? []
      : [
          {
            rule,
            message: `ssh of ${whose} has no ${option} for ${listNames(hosts)}${unless}: ${consequence}; add at the beginning of ${file}`,
            fix: [`Host ${hosts.join(' ')}`, ...lines.map(line => `  ${line}`)].join(
              '\n',
            ),
          },
        ]
  return [
    ...finding(
      'no_connect_timeout',
      hosts(({ connectTimeout }) => connectTimeout === null),
      'ConnectTimeout',
      'a build waits about two minutes for a builder that does not answer, with this line 10 s',
      ['ConnectTimeout 10'],
    ),
    ...finding(
      'no_keepalive',
      hosts(({ serverAliveInterval }) => serverAliveInterval === null),
      'ServerAliveInterval',
      'a build whose connection breaks holds its slot for hours, with these lines 15 s (sshd answers keepalives, so a long build is not ended)',
      ['ServerAliveInterval 5', 'ServerAliveCountMax 2'],
    ),
  ]
}

/** The name under which ssh_config finds a builder: as it is on the command line of ssh, not the resolved one. */
const hostPattern = (builder: Builder, dialect: NixDialect): string | null => {
  const destination = sshDestination(builder, dialect)?.destination ?? ''
  const name = destination.slice(destination.lastIndexOf('@') + 1)
  return /^[\w.:%-]+$/.test(name) ? name : null
}

const maxNames = 3

const listNames = (names: readonly string[]): string =>
  names.length <= maxNames
    ? names.join(', ')
    : `${names.slice(0, maxNames).join(', ')} and ${names.length - maxNames} more`
