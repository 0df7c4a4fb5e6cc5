import type { Kind, Params } from '../../diagnosis/kinds.ts'
import { builderParams } from '../../diagnosis/params.ts'
import { oneLine } from '../../diagnosis/text.ts'
import type { Builder, ClientOutcome, HostKeySeen } from '../../model.ts'
import { shellQuote } from '../../nix/store-command.ts'
import { found, ok, type ClientContext } from './outcome.ts'

/** What ssh does for a builder, as far as it is compared; the transport has more. */
export interface SshSettings {
  readonly user: string
  readonly hostname: string
  readonly port: number
  readonly hostKeyAlias: string | null
  readonly proxyJump: string | null
  readonly proxyCommand: string | null
  readonly agent: string | null
  readonly identityFiles: readonly string[]
  readonly userKnownHosts: readonly string[]
}

export interface Side {
  readonly target: SshSettings
  /** Why it would not take the host key that we verified. */
  readonly refuses: Kind | null
}

/** Asks the real ssh; null where it does not tell. */
export type AskSsh = (
  builder: Builder,
  as: {
    readonly env: Readonly<Record<string, string | undefined>>
    readonly home: string | null
    readonly hostKey: string | null
    readonly signal: AbortSignal
  },
) => Promise<Side | null>

export interface Difference {
  readonly field: string
  readonly ours: string
  readonly theirs: string
}

/** Each builder costs two runs of `ssh -G`, 5 ms each. */
const mostBuilders = 50

/** Environment of ssh that decides where and how it logs in. */
const sshVariables = ['NIX_SSHOPTS', 'PATH', 'SSH_AUTH_SOCK'] as const

/**
 * Do the builds of nix-daemon log in as we do? Its environment may differ, and where we are not root, its user does.
 * `home` is root's, null where we are root ourselves.
 */
export const checkParity = async (
  context: ClientContext,
  builders: readonly Builder[],
  home: string | null,
): Promise<ClientOutcome> => {
  const { machine, env, askSsh, hostKeys, signal } = context
  const process = await machine.daemon()
  const differing = sshVariables.filter(
    name => process?.env && (process.env[name] ?? '') !== (env[name] ?? ''),
  )
  const isSame = home === null && differing.length === 0
  if (!askSsh || !process || isSame) return ok
  const known = await hostKeys
  const change = Object.fromEntries(differing.map(name => [name, process.env?.[name]]))
  for (const builder of builders.slice(0, mostBuilders)) {
    const hostKey = verifiedKey(known.get(builder.name))
    const ask = (env: Readonly<Record<string, string | undefined>>, at: string | null) =>
      askSsh(builder, { env, home: at, hostKey, signal })
    const [ours, theirs] = await Promise.all([ask({}, null), ask(change, home)])
    const difference = ours && theirs && (await compare(context, builder, ours, theirs))
    if (difference) {
      const whose = home === null ? 'nix-daemon' : 'root'
      return found('degraded', 'client_mismatch', paramsOf(builder, difference, whose))
    }
  }
  return process.env === null
    ? found('skipped', 'parity_unknown', { files: `/proc/${process.pid}/environ` })
    : ok
}

/** Only a key that known_hosts vouched for is worth looking for in root's; a pinned one is the same for both. */
const verifiedKey = (seen: HostKeySeen | undefined): string | null =>
  seen?.verifiedBy === 'known_hosts' ? seen.blob : null

/** The first difference that matters. Paths and names only: a ProxyCommand may hold anything. */
const compare = async (
  { machine }: ClientContext,
  builder: Builder,
  ours: Side,
  theirs: Side,
): Promise<Difference | null> => {
  const [a, b] = [ours.target, theirs.target]
  const none = 'nothing'
  const fields: readonly Difference[] = [
    { field: 'user', ours: a.user, theirs: b.user },
    { field: 'host', ours: a.hostname, theirs: b.hostname },
    { field: 'port', ours: String(a.port), theirs: String(b.port) },
    {
      field: 'HostKeyAlias',
      ours: a.hostKeyAlias ?? none,
      theirs: b.hostKeyAlias ?? none,
    },
    { field: 'ProxyJump', ours: a.proxyJump ?? none, theirs: b.proxyJump ?? none },
  ]
  const plain = fields.find(one => one.ours !== one.theirs)
  if (plain) return plain
  if (a.proxyCommand !== b.proxyCommand)
    return {
      field: 'ProxyCommand',
      ours: a.proxyCommand === null ? none : 'a command',
      theirs: b.proxyCommand === null ? none : 'another command',
    }
  if (theirs.refuses !== null && ours.refuses === null)
    return {
      field: 'known_hosts',
      ours: a.userKnownHosts[0] ?? none,
      theirs: `${b.userKnownHosts[0] ?? none} without that host key`,
    }
  // The key of the line is offered first, by both
  if (builder.sshKey !== null) return null
  const existing = async (paths: readonly string[]) => {
    const seen = await Promise.all(paths.map(path => machine.look(path)))
    return paths.filter((_, i) => seen[i] !== null).join(', ') || none
  }
  const keys = {
    field: 'identity files',
    ours: await existing(a.identityFiles),
    theirs: await existing(b.identityFiles),
  }
  if (keys.ours !== keys.theirs) return keys
  return a.agent !== null && b.agent === null
    ? { field: 'agent', ours: a.agent, theirs: none }
    : null
}

const paramsOf = (
  builder: Builder,
  { field, ours, theirs }: Difference,
  whose: string,
): Params => {
  const params = builderParams(builder)
  const cap = (text: string) => oneLine(text, 120)
  return {
    ...params,
    whose,
    field,
    detail: `${builder.name}: ${field} is ${cap(theirs)} there, ${cap(ours)} here`,
    mend: mendOf(builder, { field, ours, theirs }, whose),
  }
}

const mendOf = (builder: Builder, { field, ours }: Difference, whose: string): string => {
  const host = shellQuote(builder.host ?? '')
  const { dest = '-' } = builderParams(builder)
  if (field === 'known_hosts')
    return `Give the key that we verified to all users: ssh-keygen -F ${host} -f ${shellQuote(ours)} | sudo tee -a /etc/ssh/ssh_known_hosts`
  if (field === 'user')
    return `Name the user in the machine line: ${builder.scheme}://USER@${builder.host ?? ''}`
  if (field === 'identity files' || field === 'agent')
    return 'Name the key in field 3 of the machine line'
  return whose === 'root'
    ? `Say it once for all users in /etc/ssh/ssh_config; compare: sudo ssh -G ${dest}; ssh -G ${dest}`
    : `Give both services the same NIX_SSHOPTS: sudo systemctl edit nix-daemon; compare: sudo systemctl show nix-daemon -p Environment`
}
