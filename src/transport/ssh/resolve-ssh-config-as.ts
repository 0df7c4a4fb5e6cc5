import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { LocalNix, ResolveSshConfigAs, Run } from '../../model/index.ts'
import { verifyHostKey } from './host-key.ts'
import { readHostKeyPolicy } from './host-key-policy.ts'
import { sshCommand } from './ssh-command.ts'
import { resolveTarget, type SshTarget } from './ssh-config.ts'

export interface SshConfigDeps {
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
}

/**
 * Resolves `ssh -G` for a builder in another environment, or with the files of another user. ssh reads its home directory
 * from the passwd database, so another home is emulated: a generated ssh_config includes that user's files by absolute path
 * and defaults User to its name, and paths below our home are moved to the other home. Limitation: `Match localuser` still sees
 * our user.
 */
export const createResolveSshConfigAs =
  ({ run, env, nix }: SshConfigDeps): ResolveSshConfigAs =>
  async (builder, as) => {
    const otherEnv = { ...env, ...as.env }
    const command = sshCommand(builder, nix(), otherEnv['NIX_SSHOPTS'])
    if (!command) return null
    const config = as.home === null ? null : await writeConfig(as.home, as.user ?? 'root')
    try {
      const options = [...(config ? ['-F', config.file] : []), ...command.options]
      const resolved = await resolveTarget(
        { ...command, options },
        run,
        otherEnv,
        as.signal,
      )
      if (resolved.status !== 'ok') return null
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

/** Writes the emulated ssh_config. ssh uses the first value of each option, so the defaults are last (ssh_config(5)). */
const writeConfig = async (home: string, user: string) => {
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-'))
  const file = join(directory, 'ssh_config')
  const remove = () => rm(directory, { recursive: true, force: true })
  try {
    const lines = [
      `Include "${home}/.ssh/config"`,
      'Include /etc/ssh/ssh_config',
      'Host *',
      `  User ${user}`,
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
