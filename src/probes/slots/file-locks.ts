/** A lock in /proc/locks (fs/locks.c lock_get_status). */
export interface FileLock {
  readonly pid: number
  /** Device and inode of the locked file, `major:minor:inode` in decimal. */
  readonly file: string
  /** True if the process waits for the lock. */
  readonly isWaiting: boolean
}

const line =
  /^\d+:(?:\s*(->))?\s*(FLOCK|POSIX)\s+\w+\s+\w+\s+(\d{1,10})\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s/

/** Parses the locks of one type in /proc/locks: `FLOCK` of flock(2), which Nix uses, or `POSIX` of fcntl(2), as in SQLite. */
export const parseLocks = (
  text: string,
  type: 'FLOCK' | 'POSIX' = 'FLOCK',
): readonly FileLock[] =>
  text.split('\n').flatMap(row => {
    const [, arrow, rowType, pid, major = '', minor = '', inode] = line.exec(row) ?? []
    return pid === undefined || rowType !== type
      ? []
      : [
          {
            pid: Number(pid),
            file: `${parseInt(major, 16)}:${parseInt(minor, 16)}:${inode}`,
            isWaiting: arrow !== undefined,
          },
        ]
  })

/** Formats a device number of stat as `major:minor` (glibc makedev). */
export const formatDevice = (dev: bigint): string => {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn)
  return `${major}:${minor}`
}

/**
 * Returns `major:minor` of the filesystem of a path from /proc/self/mountinfo. /proc/locks uses this number, while stat
 * reports another one for btrfs subvolumes. Null if no mount matches.
 */
export const findMountDevice = (mountinfo: string, path: string): string | null => {
  let best: { readonly mountPoint: string; readonly device: string } | null = null
  for (const row of mountinfo.split('\n')) {
    const [, , device, , mountPoint] = row.split(' ')
    if (!device || !mountPoint || !/^\d+:\d+$/.test(device)) continue
    const contains =
      mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`)
    // A later mount on the same mount point hides the earlier one
    if (contains && mountPoint.length >= (best?.mountPoint.length ?? 0))
      best = { mountPoint, device }
  }
  return best?.device ?? null
}
