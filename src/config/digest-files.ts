import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { readUpTo } from './bounded-file.ts'

const maxBytes = 1024 * 1024

/**
 * Computes one digest over the content of files, at most 1 MiB of each. Not over modification times: NixOS replaces
 * symlinks into a store whose files are all from 1970. Missing and unreadable files are part of the digest.
 */
export const digestFiles = async (paths: readonly string[]): Promise<string> => {
  const hash = createHash('sha256')
  for (const path of [...new Set(paths)].sort()) {
    hash.update(`\0${path}\0`)
    try {
      // Opening a pipe would wait for a writer
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        hash.update(await readUpTo(file, maxBytes))
      } finally {
        await file.close()
      }
    } catch (error) {
      hash.update(`!${(error as NodeJS.ErrnoException).code ?? ''}`)
    }
  }
  return hash.digest('hex')
}
