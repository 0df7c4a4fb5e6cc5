import { stat } from 'node:fs/promises'

/** Looks whether a directory is still the one that this process can write to. */
export interface DirectoryWatch {
  /** Returns why this process has to end; null while it can go on. To be called about once a second. */
  look(): Promise<string | null>
}

/** A new process is started with the directory, but not every second where that fails. */
const maxMissingLooks = 10

/**
 * The writable mount of the unit belongs to the directory that existed when it was started: a process for which there was none,
 * or another one, cannot lock what Nix uses now.
 */
export const watchDirectory = async (directory: string): Promise<DirectoryWatch> => {
  const identity = await identityOf(directory)
  let missingLooks = 0
  return {
    look: async () => {
      const current = await identityOf(directory)
      if (current !== identity) return 'the directory was replaced, exiting'
      missingLooks = current === null ? missingLooks + 1 : 0
      return missingLooks >= maxMissingLooks ? 'the directory is missing, exiting' : null
    },
  }
}

/** Returns which directory a path is; null if there is none. */
const identityOf = async (path: string): Promise<string | null> => {
  const found = await stat(path).catch(() => null)
  return found && `${found.dev}:${found.ino}`
}
