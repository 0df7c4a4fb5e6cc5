import { Writable, type Duplex } from 'node:stream'
import type { ClientChannel } from 'ssh2'

/** Below the limit of the traffic budget, above what one round trip of a fast link needs. */
const maxSocketBytes = 256 * 1024
const pieceBytes = 32 * 1024

/**
 * Returns the standard input of a channel with the backpressure of the socket: ssh2 passes everything that the window of
 * the remote allows (2 MiB and more) to the socket, also when nothing is sent.
 */
export const paceWrites = (channel: ClientChannel, socket: Duplex): Writable => {
  /** Resolves when the socket has sent enough, or is closed. */
  const socketReady = () =>
    new Promise<void>(resolve => {
      const done = () => {
        socket.off('drain', done).off('close', done)
        resolve()
      }
      socket.on('drain', done).on('close', done)
    })
  const input = new Writable({
    highWaterMark: pieceBytes,
    write: (chunk: Buffer, _, callback) => {
      const writeFrom = async (offset: number): Promise<void> => {
        for (let at = offset; at < chunk.length; at += pieceBytes) {
          while (socket.writableLength > maxSocketBytes && !socket.destroyed)
            await socketReady()
          const piece = chunk.subarray(at, at + pieceBytes)
          await new Promise<void>(resolve => {
            // A channel that is closed calls no callback
            if (!channel.writable) return resolve()
            channel.once('close', resolve)
            channel.write(piece, () => {
              channel.off('close', resolve)
              resolve()
            })
          })
        }
      }
      writeFrom(0).then(() => callback(), callback)
    },
    final: callback => {
      channel.end()
      callback()
    },
    destroy: (error, callback) => {
      channel.end()
      callback(error)
    },
  })
  input.on('error', () => undefined)
  return input
}
