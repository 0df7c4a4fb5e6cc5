import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

const maxBytes = 1024 * 1024

/** The text of a file, or in a few words why there is none. Never rejects. */
export const readFileWithin = async (
  path: string,
): Promise<{ readonly text: string } | { readonly fault: string }> => {
  try {
    // A pipe would let us wait for a writer
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const about = await file.stat()
      if (about.isDirectory()) return { fault: 'is a directory' }
      const buffer = Buffer.alloc(maxBytes + 1)
      let length = 0
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length)
        if (bytesRead === 0) break
        length += bytesRead
      }
      return length > maxBytes
        ? { fault: 'is larger than 1 MiB' }
        : { text: buffer.toString('utf8', 0, length) }
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    if (code === 'ENOENT') return { fault: 'does not exist' }
    if (code === 'EACCES' || code === 'EPERM')
      return { fault: `cannot be read by the user that runs this (${code})` }
    return { fault: `cannot be read (${code})` }
  }
}
