import type { Builder } from '../../model/index.ts'
import { examinePinnedKey } from '../../nix/machines/pinned-key.ts'
import { hostKeyPolicy, type HostKeyPolicy } from './host-key.ts'
import { parseKnownHosts, type KnownHost } from './known-hosts.ts'
import { readRegularFile } from './regular-file.ts'
import type { SshCommand } from './ssh-command.ts'
import type { SshTarget } from './ssh-config.ts'

/** Reads known_hosts files and the pinned key of the machine line for a target. Unreadable files are ignored. */
export const readHostKeyPolicy = async (
  builder: Builder,
  command: Pick<SshCommand, 'pinnedHostName'>,
  target: SshTarget,
): Promise<{
  readonly policy: HostKeyPolicy
  /** Nix's temporary known_hosts file for a pinned key. */
  readonly pinnedLine: string | null
}> => {
  const pinnedKey =
    builder.publicHostKey ?? builder.params['base64-ssh-public-host-key'] ?? null
  const pinnedLine =
    pinnedKey === null
      ? null
      : `${command.pinnedHostName} ${Buffer.from(pinnedKey, 'base64').toString('utf8').trimEnd()}\n`
  const pinned =
    pinnedLine === null
      ? null
      : {
          lines: parseKnownHosts(pinnedLine, 'the machine line'),
          hostName: command.pinnedHostName,
          key: examinePinnedKey(pinnedKey ?? ''),
        }
  const [user, global] = await Promise.all([
    readKnownHosts(target.userKnownHosts),
    readKnownHosts(target.globalKnownHosts),
  ])
  return { policy: hostKeyPolicy(target, pinned, { user, global }), pinnedLine }
}

const readKnownHosts = async (files: readonly string[]): Promise<KnownHost[]> => {
  const entries = await Promise.all(
    files.map(async file => {
      const text = await readRegularFile(file)
      return text === null ? [] : parseKnownHosts(text, file)
    }),
  )
  return entries.flat()
}
