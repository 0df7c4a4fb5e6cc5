import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

const maxBytes = 1024 * 1024

/**
 * Reads a text file of at most 1 MiB. Returns a short error if it cannot, also for a pipe or a device, whose content is not
 * there twice. Never rejects and never waits for a writer.
 */
export const readBoundedFile = async (
  path: string,
): Promise<
  { readonly text: string } | { readonly error: string; readonly isMissing?: true }
> => {
  try {
    // Opening a pipe would wait for a writer
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = await file.stat()
      if (stats.isDirectory()) return { error: 'is a directory' }
      if (!stats.isFile()) return { error: 'is not a regular file' }
      const bytes = await readUpTo(file, maxBytes + 1)
      return bytes.length > maxBytes
        ? { error: 'is larger than 1 MiB' }
        : { text: bytes.toString('utf8') }
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
    if (code === 'ENOENT') return { error: 'does not exist', isMissing: true }
    // A socket cannot be opened (open(2))
    if (code === 'ENXIO') return { error: 'is not a regular file' }
    if (code === 'EACCES' || code === 'EPERM')
      return { error: `cannot be read by this user (${code})` }
    return { error: `cannot be read (${code})` }
  }
}

/** Reads at most `maxBytes` from the start of a file, whose size need not be known. */
export const readUpTo = async (file: FileHandle, maxBytes: number): Promise<Buffer> => {
  const buffer = Buffer.alloc(maxBytes)
  let length = 0
  while (length < maxBytes) {
    const { bytesRead } = await file.read(buffer, length, maxBytes - length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}
