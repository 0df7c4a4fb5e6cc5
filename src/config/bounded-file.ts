import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

const maxBytes = 1024 * 1024

/** Reads a text file of at most 1 MiB. Returns a short error if it cannot. Never rejects. */
export const readBoundedFile = async (
  path: string,
): Promise<{ readonly text: string } | { readonly error: string }> => {
  try {
    // Opening a pipe would wait for a writer
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = await file.stat()
      if (stats.isDirectory()) return { error: 'is a directory' }
      const buffer = Buffer.alloc(maxBytes + 1)
      let length = 0
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length)
        if (bytesRead === 0) break
        length += bytesRead
      }
      return length > maxBytes
        ? { error: 'is larger than 1 MiB' }
        : { text: buffer.toString('utf8', 0, length) }
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    if (code === 'ENOENT') return { error: 'does not exist' }
    if (code === 'EACCES' || code === 'EPERM')
      return { error: `cannot be read by this user (${code})` }
    return { error: `cannot be read (${code})` }
  }
}
