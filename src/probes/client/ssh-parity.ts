import { builderParams } from '../../diagnosis/params.ts'
import { oneLine } from '../../text/truncate.ts'
import type {
  Builder,
  ClientOutcome,
  ResolvedSshConfig,
  Params,
} from '../../model/index.ts'
import type { DaemonOwner } from './daemon-owner.ts'
import { outcome, type ClientContext, type KnownLogin } from './outcome.ts'

interface Difference {
  readonly field: string
  readonly ours: string
  readonly theirs: string
}

/** Each builder costs two runs of `ssh -G`, 5 ms each. */
const maxBuilders = 50

/** Environment variables that decide where and how ssh logs in. */
const sshVariables = ['NIX_SSHOPTS', 'PATH', 'SSH_AUTH_SOCK'] as const

/**
 * Checks whether ssh of nix-daemon logs in as ours does: its environment can differ, and its user if we are not root.
 * `home` is the home directory of its user; null if that is ours.
 */
export const compareSshSettings = async (
  context: ClientContext,
  builders: readonly Builder[],
  owner: DaemonOwner,
  home: string | null,
): Promise<ClientOutcome> => {
  const { env, resolveSshConfigAs, logins, signal } = context
  const theirEnv = owner.env
  const differing = sshVariables.filter(
    name => theirEnv && (theirEnv[name] ?? '') !== (env[name] ?? ''),
  )
  const notCompared = outcome('skipped', 'root_ssh_config_unreadable', {
    ...whoseSsh(owner),
    files: `the environment of nix-daemon (${owner.knownBy})`,
  })
  const same: ClientOutcome = {
    status: 'ok',
    note: `builds log in as ${owner.user} (${owner.knownBy})`,
  }
  const isSame = home === null && differing.length === 0
  if (!resolveSshConfigAs || isSame) return theirEnv ? same : notCompared
  const known = await logins
  const envChanges = Object.fromEntries(differing.map(name => [name, theirEnv?.[name]]))
  let unreadableKey: string | null = null
  for (const builder of builders.slice(0, maxBuilders)) {
    const login = known.get(builder.name)
    // The agent logged in instead of a key that only nix-daemon can read
    if (login?.identity === 'agent' && (await isUnreadable(context, builder.sshKey))) {
      unreadableKey = builder.sshKey
      continue
    }
    const hostKey = verifiedKey(login)
    const resolve = (
      env: Readonly<Record<string, string | undefined>>,
      at: string | null,
    ) => resolveSshConfigAs(builder, { env, home: at, user: owner.user, hostKey, signal })
    const [ours, theirs] = await Promise.all([
      resolve({}, null),
      resolve(envChanges, home),
    ])
    const difference =
      ours && theirs && (await compare(context, { builder, login, ours, theirs }))
    if (difference) {
      const whose = home === null ? 'nix-daemon' : owner.user
      return outcome('degraded', 'ssh_settings_differ', {
        ...toParams(builder, difference, whose),
        sshUser: owner.user,
      })
    }
  }
  if (unreadableKey !== null)
    return outcome('skipped', 'root_ssh_config_unreadable', {
      ...whoseSsh(owner),
      files: unreadableKey,
    })
  return theirEnv ? same : notCompared
}

const isUnreadable = async (
  { localSystem }: ClientContext,
  key: string | null,
): Promise<boolean> =>
  key !== null &&
  key.startsWith('/') &&
  (await localSystem.stat(key)) !== null &&
  !(await localSystem.canRead(key))

/** Whose ssh it is, and how that is known. */
export const whoseSsh = ({ user, knownBy }: DaemonOwner): Params => ({
  sshUser: user,
  whose: user,
  detail: `${user}: ${knownBy}`,
})

/** Returns a key verified by known_hosts, to look up in root's; a pinned key is the same for both. */
const verifiedKey = (login: KnownLogin | undefined): string | null =>
  login?.hostKey?.verifiedBy === 'known_hosts' ? login.hostKey.blob : null

interface Compared {
  readonly builder: Builder
  /** Our newest login. */
  readonly login: KnownLogin | undefined
  readonly ours: ResolvedSshConfig
  readonly theirs: ResolvedSshConfig
}

/** Returns the first relevant difference. Only paths and names: a ProxyCommand can contain secrets. */
const compare = async (
  { localSystem }: ClientContext,
  { builder, login, ours, theirs }: Compared,
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
  const firstDifference = fields.find(candidate => candidate.ours !== candidate.theirs)
  if (firstDifference) return firstDifference
  if (a.proxyCommand !== b.proxyCommand)
    return {
      field: 'ProxyCommand',
      ours: a.proxyCommand === null ? none : 'a command',
      theirs: b.proxyCommand === null ? none : 'another command',
    }
  if (theirs.hostKeyRejection !== null && ours.hostKeyRejection === null)
    return {
      field: 'known_hosts',
      ours: a.userKnownHosts[0] ?? none,
      theirs: `${b.userKnownHosts[0] ?? none} without that host key`,
    }
  const identity = login?.identity
  const missingAgent =
    a.agent !== null && b.agent === null
      ? { field: 'agent', ours: a.agent, theirs: none }
      : null
  // Both offer the key of the machine line first, which the builder can reject
  if (builder.sshKey !== null) return identity === 'agent' ? missingAgent : null
  const existing = async (paths: readonly string[]) => {
    const stats = await Promise.all(paths.map(path => localSystem.stat(path)))
    return paths.filter((_, i) => stats[i] !== null).join(', ') || none
  }
  const keys = {
    field: 'identity files',
    ours: await existing(a.identityFiles),
    theirs: await existing(b.identityFiles),
  }
  if (keys.ours !== keys.theirs) return keys
  // Without a login it is unknown which key the builder accepts
  return identity === undefined || identity === 'agent' ? missingAgent : null
}

const toParams = (
  builder: Builder,
  { field, ours, theirs }: Difference,
  whose: string,
): Params => {
  const params = builderParams(builder)
  const shorten = (text: string) => oneLine(text, 120)
  return {
    ...params,
    whose,
    field,
    detail: `${builder.name}: ${field} is ${shorten(theirs)} for ${whose}, ${shorten(ours)} for this service`,
    ...(field === 'known_hosts' ? { file: ours } : {}),
  }
}
