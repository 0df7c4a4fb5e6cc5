import type { Duplex } from 'node:stream'

/**
 * Combines the writes of one tick: ssh2 writes each packet in two parts, each a system call and a TCP segment. Calls
 * `onBuffered` with the number of bytes that wait to be sent, because ssh2 ignores backpressure.
 */
export const corkWrites = (stream: Duplex, onBuffered: (bytes: number) => void): void => {
  const write = stream.write.bind(stream) as (...args: unknown[]) => boolean
  let isCorked = false
  const corkingWrite = (...args: unknown[]): boolean => {
    if (!isCorked) {
      isCorked = true
      stream.cork()
      process.nextTick(() => {
        isCorked = false
        stream.uncork()
      })
    }
    const isBelowLimit = write(...args)
    onBuffered(stream.writableLength)
    return isBelowLimit
  }
  stream.write = corkingWrite as Duplex['write']
}
