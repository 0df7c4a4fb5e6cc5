/** A `flock` as the kernel lists it in /proc/locks (fs/locks.c lock_get_status). */
export interface FileLock {
  readonly pid: number
  /** Device and inode of the locked file, `major:minor:inode` in decimal. */
  readonly file: string
  /** True where the process waits for it and does not have it. */
  readonly isWaiting: boolean
}

const line =
  /^\d+:\s*(->)?\s*FLOCK\s+\w+\s+\w+\s+(\d{1,10})\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s/

/** The flocks of /proc/locks; other kinds of locks are left out. */
export const parseLocks = (text: string): readonly FileLock[] =>
  text.split('\n').flatMap(row => {
    const [, arrow, pid, major = '', minor = '', inode] = line.exec(row) ?? []
    return pid === undefined
      ? []
      : [
          {
            pid: Number(pid),
            file: `${parseInt(major, 16)}:${parseInt(minor, 16)}:${inode}`,
            isWaiting: arrow !== undefined,
          },
        ]
  })

/** `major:minor` of a device number as stat tells it (glibc makedev). */
export const formatDevice = (dev: bigint): string => {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn & 0xffffffffn)
  return `${major}:${minor}`
}

/**
 * `major:minor` of the filesystem that holds a path, from /proc/self/mountinfo: /proc/locks names it so, where stat
 * tells another number for the subvolumes of btrfs. Null where no mount fits.
 */
export const findMountDevice = (mountinfo: string, path: string): string | null => {
  let best: { readonly mountPoint: string; readonly device: string } | null = null
  for (const row of mountinfo.split('\n')) {
    const [, , device, , mountPoint] = row.split(' ')
    if (!device || !mountPoint || !/^\d+:\d+$/.test(device)) continue
    const contains =
      mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`)
    // The later of two mounts on one point covers the earlier
    if (contains && mountPoint.length >= (best?.mountPoint.length ?? 0))
      best = { mountPoint, device }
  }
  return best?.device ?? null
}
