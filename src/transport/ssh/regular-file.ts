import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** Larger files are not read. The largest known_hosts files of public fleets have a few MiB. */
const maxBytes = 16 * 1024 * 1024

/**
 * Returns the text of a file, or null if it is unreadable, larger than 16 MiB or no regular file: the open of a FIFO waits
 * for a writer and would keep one of Node's few file system threads for ever.
 */
export const readRegularFile = async (path: string): Promise<string | null> => {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    () => null,
  )
  if (file === null) return null
  try {
    const stats = await file.stat()
    return stats.isFile() && stats.size <= maxBytes ? await file.readFile('utf8') : null
  } catch {
    return null
  } finally {
    await file.close()
  }
}
