import { randomBytes } from 'node:crypto'
import type { Channel, ProbeName, Remote, TelemetryProbe } from '../../model/index.ts'
import { createUtf8Decoder } from '../../text/utf8.ts'
import { functionsOf } from './script.ts'

/**
 * One `sh` on a builder for all sweeps of a connection: it has the functions of all probes, reads requests and answers them.
 * It saves the builder a login shell and the parsing of the scripts for each sweep, and both sides a channel.
 */
export interface KeptShell {
  /**
   * Returns the sections of these probes, each after a line `@NONCE NAME`, and the last one named `end`; fewer when the shell
   * hung or ended after some. Null where no such shell can be had, or when it does not answer: it is closed then and the
   * caller runs a command for each sweep.
   */
  ask(
    names: readonly ProbeName[],
    nonce: string,
    signal: AbortSignal,
  ): Promise<string | null>
  /**
   * Ends the shell until the next request, because a server may allow one channel only (MaxSessions 1). Resolves when it has
   * ended on the builder, which is when sshd accepts another channel, or after a second.
   */
  release(): Promise<void>
}

const maxChars = 256 * 1024
/** A shell that ignores the end of its input is not waited for longer, milliseconds. */
const releaseMs = 1000
interface KeptShellOptions {
  /** A shell that is not ready after this time is not waited for, milliseconds. */
  readonly startMs?: number
}

/**
 * A shell reads its commands in blocks, but `read` takes single bytes from the same input: no request may be sent before the
 * loop is reached, which the first answer says.
 */
const keptScript = (
  probes: readonly TelemetryProbe<ProbeName>[],
  nonce: string,
): string =>
  [
    functionsOf(probes),
    `nonce=${nonce}`,
    // One command: a shell reads all of it before it runs the first part
    `{ printf '@%s ready\\n' "$nonce"; while read -r nonce names; do for name in $names end; do section "$name"; done; done; }`,
    '',
  ].join('\n')

/** Opens nothing before the first request. The shell ends with the connection. */
export const createKeptShell = (
  remote: Remote,
  probes: readonly TelemetryProbe<ProbeName>[],
  { startMs = 10_000 }: KeptShellOptions = {},
): KeptShell => {
  let channel: Channel | null = null
  let isUsable = true
  let isBusy = false
  let text = ''
  let decode = createUtf8Decoder()
  let wake = (): void => undefined

  const end = () => {
    isUsable = false
    channel?.close()
    channel = null
    wake()
  }
  const start = async (signal: AbortSignal): Promise<Channel> => {
    const opened = await remote.open('exec /bin/sh -s', signal)
    channel = opened
    const onLost = () => {
      if (channel === opened) end()
    }
    void opened.exit.then(onLost)
    opened.stdin.on('error', onLost)
    opened.stderr.resume()
    opened.stdout.on('data', (chunk: Buffer) => {
      // What was not asked for is dropped
      if (!isBusy) return
      text += decode(chunk)
      if (text.length > maxChars) end()
      wake()
    })
    const nonce = randomBytes(12).toString('hex')
    opened.stdin.write(keptScript(probes, nonce))
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), startMs)
    try {
      await until(`@${nonce} ready\n`, AbortSignal.any([signal, late.signal]))
    } finally {
      clearTimeout(timer)
    }
    return opened
  }
  /** Resolves when the text has arrived; rejects when it will not. */
  const until = async (wanted: string, signal: AbortSignal): Promise<void> => {
    const onAbort = () => wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!text.includes(wanted)) {
        if (!isUsable || signal.aborted) throw new Error('the shell does not answer')
        await new Promise<void>(resolve => (wake = resolve))
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
  return {
    release: async () => {
      if (isBusy || !channel) return
      const open = channel
      channel = null
      open.stdin.end()
      const timer = setTimeout(() => open.close(), releaseMs)
      await open.exit
      clearTimeout(timer)
      open.close()
    },
    ask: async (names, nonce, signal) => {
      if (!isUsable || isBusy) return null
      isBusy = true
      text = ''
      decode = createUtf8Decoder()
      try {
        const { stdin } = channel ?? (await start(signal))
        text = ''
        stdin.write(`${nonce} ${names.join(' ')}\n`)
        await until(`\n@${nonce} end\n`, signal)
        return text
      } catch {
        const isAnswered = text.includes(`\n@${nonce} `)
        const answered = isAnswered ? text : null
        end()
        return answered
      } finally {
        isBusy = false
        text = ''
      }
    },
  }
}

/** The kept shell of each remote. */
export interface KeptShells {
  of(remote: Remote): KeptShell
  /** Ends the shell of a remote until its next request. Resolves when it has ended. */
  release(remote: Remote): Promise<void>
}

export const createKeptShells = (
  probes: readonly TelemetryProbe<ProbeName>[],
): KeptShells => {
  const shells = new WeakMap<Remote, KeptShell>()
  return {
    of: remote => {
      const shell = shells.get(remote) ?? createKeptShell(remote, probes)
      shells.set(remote, shell)
      return shell
    },
    release: async remote => shells.get(remote)?.release(),
  }
}
