import type { SshTimeouts } from '../../model/index.ts'
import { isReachedBySsh } from '../../nix/machines/store-uri.ts'
import { findDaemonOwner } from './daemon-owner.ts'
import type { ClientContext } from './outcome.ts'

/** Each builder costs a run of `ssh -G`, 5 ms. */
const maxBuilders = 50

/**
 * Returns the timeouts of the ssh that Nix runs: of the user and with the NIX_SSHOPTS of nix-daemon, or ours without one. Null
 * where they are not known.
 */
export const readSshTimeouts = async (
  context: ClientContext,
): Promise<SshTimeouts | null> => {
  const { active, daemon, env, localSystem, resolveSshConfigAs, signal } = context
  const builders = active.builders.filter(isReachedBySsh).slice(0, maxBuilders)
  if (!resolveSshConfigAs || active.source === 'demo' || builders.length === 0)
    return null
  const owner = daemon.answers ? await findDaemonOwner(context) : null
  if (daemon.answers && !owner) return null
  const isOther = owner !== null && owner.uid !== localSystem.uid
  const home = isOther ? owner.home : null
  if (isOther && home === null) return null
  const isReadable = home === null || (await canReadConfig(context, home))
  // The copies of the service are those of that user
  if (!isReadable && env['CREDENTIALS_DIRECTORY'] === undefined) return null
  // Another user has nothing of our environment
  const isTheirs = owner !== null && isReadable && (owner.env !== null || isOther)
  const resolved = await Promise.all(
    builders.map(async builder => {
      const found = await resolveSshConfigAs(builder, {
        env: isTheirs ? { NIX_SSHOPTS: owner.env?.['NIX_SSHOPTS'] } : {},
        home: isReadable ? home : null,
        ...(owner ? { user: owner.user } : {}),
        hostKey: null,
        signal,
      })
      const { connectTimeout, serverAliveInterval } = found?.target ?? {}
      return connectTimeout === undefined || serverAliveInterval === undefined
        ? []
        : [{ builder: builder.name, connectTimeout, serverAliveInterval }]
    }),
  )
  return {
    user: owner?.user ?? null,
    isEnvironmentKnown: owner === null || owner.env !== null,
    builders: resolved.flat(),
  }
}

const canReadConfig = async (
  { localSystem }: ClientContext,
  home: string,
): Promise<boolean> => {
  const file = `${home}/.ssh/config`
  const info = await localSystem.stat(file)
  return info === null || (!('code' in info) && (await localSystem.canRead(file)))
}
