import { readFile, stat } from 'node:fs/promises'

/**
 * Returns what identifies the state of the local store: the boot of this kernel, then device and inode of its directory, as `stat -c %d:%i` prints them. Containers share the kernel but not the directory. Null where it is not
 * readable, and without Linux. Never rejects.
 */
export const readStoreIdentity = async (
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | null> => {
  const directory = env['NIX_STATE_DIR'] || '/nix/var/nix'
  try {
    const [boot, { dev, ino }] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      stat(directory, { bigint: true }),
    ])
    return `${boot.trim()} ${dev}:${ino}`
  } catch {
    return null
  }
}
