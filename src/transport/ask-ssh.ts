import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Builder, LocalNix, Run } from '../model.ts'
import type { Kind } from '../diagnosis/kinds.ts'
import { judgeHostKey } from './host-key.ts'
import { readHostKeyPolicy } from './known-hosts-files.ts'
import { sshCommand } from './ssh-command.ts'
import { resolveTarget, type SshTarget } from './ssh-config.ts'

export interface AskSshDeps {
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
}

export interface SshSide {
  readonly target: SshTarget
  /** Why this side would not take the host key that we verified; null where it would, or none was given. */
  readonly refuses: Kind | null
}

export interface AskAs {
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
export const createAskSsh =
  ({ run, env, nix }: AskSshDeps) =>
  async (builder: Builder, as: AskAs): Promise<SshSide | null> => {
    const theirs = { ...env, ...as.env }
    const command = sshCommand(builder, nix(), theirs['NIX_SSHOPTS'])
    if (!command) return null
    const config = as.home === null ? null : await configOf(as.home)
    try {
      const options = [...(config ? ['-F', config.file] : []), ...command.options]
      const found = await resolveTarget({ ...command, options }, run, theirs, as.signal)
      if (found.status === 'failed') return null
      const target = as.home === null ? found.value : movedTo(as.home, found.value)
      const { policy } = await readHostKeyPolicy(builder, command, target)
      const verdict = as.hostKey === null ? null : judgeHostKey(policy, as.hostKey)
      return { target, refuses: !verdict || verdict.accepted ? null : verdict.kind }
    } finally {
      await config?.remove()
    }
  }

/** The first word that ssh finds counts, so that the default stands at the end (ssh_config(5)). */
const configOf = async (home: string) => {
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

const movedTo = (home: string, target: SshTarget): SshTarget => {
  const ours = `${userInfo().homedir}/.ssh/`
  const move = (path: string) =>
    path.startsWith(ours) ? `${home}/.ssh/${path.slice(ours.length)}` : path
  return {
    ...target,
    identityFiles: target.identityFiles.map(move),
    userKnownHosts: target.userKnownHosts.map(move),
  }
}
