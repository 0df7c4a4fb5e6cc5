import type { Socket } from 'node:net'
import { maxLineChars } from './messages.ts'

/** Splits what a socket receives into lines. A line that is too long, and the end of this side, end the reading. */
export const readLines = (
  socket: Socket,
  handlers: {
    readonly onLine: (line: string) => void
    readonly onTooLong: () => void
  },
): void => {
  let rest = ''
  let isEnded = false
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    if (isEnded) return
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (!socket.writable) return
      handlers.onLine(line)
    }
    if (rest.length <= maxLineChars) return
    isEnded = true
    rest = ''
    handlers.onTooLong()
  })
}
