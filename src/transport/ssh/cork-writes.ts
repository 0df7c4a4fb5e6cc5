import type { Duplex } from 'node:stream'

/** Combines the writes of one tick: ssh2 writes each packet in two parts, each a system call and a TCP segment. */
export const corkWrites = (stream: Duplex): void => {
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
    return write(...args)
  }
  stream.write = corkingWrite as Duplex['write']
}
