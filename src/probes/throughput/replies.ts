import type { Channel } from '../../model/index.ts'

/** Output of a remote script: lines that it answers with, then bytes. One read at a time. Rejects at the end of the output. */
export interface Replies {
  /** Resolves when this line arrives. What came before it is dropped. */
  line(text: string): Promise<void>
  /** Resolves when so many further bytes have arrived. */
  bytes(count: number): Promise<void>
}

/** Text before an answer: what a shell start-up file prints. */
const maxNoiseChars = 64 * 1024

export const createReplies = (
  { stdout, exit }: Channel,
  signal: AbortSignal,
): Replies => {
  let text = ''
  /** Bytes after the newest answer. */
  let count = 0
  let isEnded = false
  let wake = (): void => undefined
  stdout.on('data', (chunk: Buffer) => {
    count += chunk.length
    if (text.length < maxNoiseChars) text += chunk.toString('latin1')
    wake()
  })
  const end = () => {
    isEnded = true
    wake()
  }
  stdout.once('end', end)
  stdout.once('error', end)
  void exit.then(end)
  signal.addEventListener('abort', end, { once: true })
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) {
      if (isEnded)
        throw new Error('the account runs no shell commands, or the command ended')
      await new Promise<void>(resolve => (wake = resolve))
    }
  }
  return {
    line: async wanted => {
      await until(() => text.includes(`${wanted}\n`))
      text = text.slice(text.indexOf(`${wanted}\n`) + wanted.length + 1)
      count = text.length
    },
    bytes: async wanted => {
      text = ' '.repeat(maxNoiseChars)
      await until(() => count >= wanted)
      count -= wanted
    },
  }
}
