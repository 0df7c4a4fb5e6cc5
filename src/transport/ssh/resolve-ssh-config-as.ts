import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Builder, LocalNix, Run } from '../../model/index.ts'
import type { Kind } from '../../diagnosis/kinds.ts'
import { verifyHostKey } from './host-key.ts'
import { readHostKeyPolicy } from './host-key-policy.ts'
import { sshCommand } from './ssh-command.ts'
import { resolveTarget, type SshTarget } from './ssh-config.ts'

export interface SshConfigDeps {
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
}

export interface ResolvedSshConfig {
  readonly target: SshTarget
  /** Why this side would not take the host key that we verified; null where it would, or none was given. */
  readonly hostKeyRejection: Kind | null
}

export interface ResolveAsOptions {
  /** What differs from our own environment; a value of undefined is one that is not set. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Another home than that of the user who asks: its ssh_config is read, and `~` stands for it. */
  readonly home: string | null
  /** Base64 of a host key that was verified. */
  readonly hostKey: string | null
  readonly signal: AbortSignal
}

/**
 * Asks `ssh -G` what ssh does for a builder in another environment, or with the files of another user. ssh takes its home
 * from the passwd database, so root's is played: its files are included by their names, a user that nobody sets is root,
 * and what would be below our home is taken to be below the other. `Match localuser` is the one thing that goes wrong.
 */
export const createResolveSshConfigAs =
  ({ run, env, nix }: SshConfigDeps) =>
  async (builder: Builder, as: ResolveAsOptions): Promise<ResolvedSshConfig | null> => {
    const otherEnv = { ...env, ...as.env }
    const command = sshCommand(builder, nix(), otherEnv['NIX_SSHOPTS'])
    if (!command) return null
    const config = as.home === null ? null : await writeConfig(as.home)
    try {
      const options = [...(config ? ['-F', config.file] : []), ...command.options]
      const resolved = await resolveTarget(
        { ...command, options },
        run,
        otherEnv,
        as.signal,
      )
      if (resolved.status === 'failed') return null
      const target =
        as.home === null ? resolved.value : rebaseHome(as.home, resolved.value)
      const { policy } = await readHostKeyPolicy(builder, command, target)
      const hostKeyCheck = as.hostKey === null ? null : verifyHostKey(policy, as.hostKey)
      return {
        target,
        hostKeyRejection:
          !hostKeyCheck || hostKeyCheck.accepted ? null : hostKeyCheck.kind,
      }
    } finally {
      await config?.remove()
    }
  }

/** The first word that ssh finds counts, so that the default stands at the end (ssh_config(5)). */
const writeConfig = async (home: string) => {
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-'))
  const file = join(directory, 'ssh_config')
  const remove = () => rm(directory, { recursive: true, force: true })
  try {
    const lines = [
      `Include "${home}/.ssh/config"`,
      'Include /etc/ssh/ssh_config',
      'Host *',
      '  User root',
      '',
    ]
    await writeFile(file, lines.join('\n'), { mode: 0o600 })
  } catch (error) {
    await remove()
    throw error
  }
  return { file, remove }
}

const rebaseHome = (home: string, target: SshTarget): SshTarget => {
  const ownSshDirectory = `${userInfo().homedir}/.ssh/`
  const move = (path: string) =>
    path.startsWith(ownSshDirectory)
      ? `${home}/.ssh/${path.slice(ownSshDirectory.length)}`
      : path
  return {
    ...target,
    identityFiles: target.identityFiles.map(move),
    userKnownHosts: target.userKnownHosts.map(move),
  }
}
