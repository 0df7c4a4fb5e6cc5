import type { Duplex } from 'node:stream'
import type { Client, ClientChannel } from 'ssh2'
import type { Channel, Connection } from '../../model/index.ts'
import { paceWrites } from './pace-writes.ts'
import { createSemaphore } from './semaphore.ts'

interface Ssh2Session {
  readonly client: Client
  readonly stream: Duplex
  readonly closed: Promise<string>
  readonly notifyClosed: (reason: string) => void
  /** Called with each channel that the remote opened for us. */
  readonly onChannel: (channel: ClientChannel) => void
}

/** Creates a connection over a logged-in client, with at most two channels at a time. */
export const createConnection = ({
  client,
  stream,
  closed,
  notifyClosed,
  onChannel,
}: Ssh2Session): Connection => {
  const semaphore = createSemaphore(2)
  return {
    closed,
    close: () => {
      notifyClosed('closed')
      client.destroy()
      // ssh2 does not destroy a stream that is no longer writable
      stream.destroy()
    },
    open: async (command, signal) => {
      const release = await semaphore.acquire(signal)
      return exec(client, command, { signal, release, stream, onChannel })
    },
  }
}

interface ExecOptions extends Pick<Ssh2Session, 'stream' | 'onChannel'> {
  readonly signal: AbortSignal
  /** Releases the slot of the channel. */
  readonly release: () => void
}

const exec = (
  client: Client,
  command: string,
  { signal, release, stream, onChannel }: ExecOptions,
): Promise<Channel> =>
  new Promise((resolve, reject) => {
    // An abandoned channel keeps its slot until the remote answers, because it can be open there
    const onAbort = () => reject(signal.reason as Error)
    const finish = () => {
      signal.removeEventListener('abort', onAbort)
      client.off('close', lost)
    }
    const fail = (error: unknown) => {
      finish()
      release()
      reject(error instanceof Error ? error : new Error(String(error)))
    }
    const lost = () => fail(new Error('the connection is closed'))
    if (signal.aborted) return fail(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    client.once('close', lost)
    try {
      // throws if the client is closed
      client.exec(command, (error, opened) => {
        if (error) return fail(error)
        finish()
        // Must happen now: exit and close can be in the same packet as the answer
        const channel = createChannel(opened, stream, release)
        onChannel(opened)
        if (signal.aborted) channel.close()
        else resolve(channel)
      })
    } catch (error) {
      fail(error)
    }
  })

const createChannel = (
  stream: ClientChannel,
  socket: Duplex,
  release: () => void,
): Channel => {
  stream.on('error', () => undefined)
  stream.stderr.on('error', () => undefined)
  let code: number | null = null
  let name: string | null = null
  stream.on('exit', (exitCode: number | null, exitSignal?: string) => {
    code = exitCode
    name = exitSignal ?? null
  })
  let onClosed = (): void => undefined
  const exit = new Promise<{ code: number | null; signal: string | null }>(resolve => {
    onClosed = () => {
      release()
      resolve({ code, signal: name })
    }
  })
  stream.on('close', onClosed)
  return {
    stdin: paceWrites(stream, socket),
    stdout: stream,
    stderr: stream.stderr,
    exit,
    close: () => {
      stream.destroy()
      // A remote that continues to send fills its window and stops
      for (const output of [stream, stream.stderr])
        output.removeAllListeners('data').pause()
      onClosed()
    },
  }
}
