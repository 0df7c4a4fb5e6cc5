import { randomBytes } from 'node:crypto'
import type {
  Channel,
  Outcome,
  ProbeContext,
  ThroughputValue,
} from '../../model/index.ts'
import { formatRate } from '../../text/rate.ts'
import { oneLine } from '../../text/truncate.ts'
import { createReplies } from './replies.ts'

/**
 * Sizes in order, until the next one would take too long: the first ones let TCP leave its slow start and show a slow line,
 * which more bytes would block for everything else.
 */
const blockSizes = [16, 64, 256, 1024].map(kibibytes => kibibytes * 1024)
const maxBlockSeconds = 3
const pieceBytes = 16 * 1024
/** Limit of each direction. A slower link is reported as this slow. */
const directionMs = 25_000
/** A script that was not started after this time is not measured: a command that never answers blocks no other builder. */
const startMs = 30_000
const roundTrips = 3

/** One measurement. Rates in bytes per second; null if a direction was not measured. */
export type Measurement = Pick<
  ThroughputValue,
  'roundTripSeconds' | 'upload' | 'download'
>

/**
 * The remote side: answers, reads or writes as a line says. `head` reads no more than there is, because we wait for each
 * answer.
 */
const remoteScript = (nonce: string): string =>
  `echo @${nonce} ready; while read -r what n; do case $what in ` +
  `ping) echo @${nonce} pong;; ` +
  `up) head -c $n >/dev/null; echo @${nonce} received;; ` +
  'down) head -c $n /dev/urandom;; esac; done'

/** Measures the link once; skipped where the account runs no shell. */
export const measure = async (
  context: ProbeContext,
): Promise<Measurement | Extract<Outcome<never>, { status: 'skipped' }>> => {
  const nonce = randomBytes(8).toString('hex')
  const { clock, signal } = context
  let channel: Channel | null = null
  try {
    // Quoted for every login shell, fish and tcsh included
    channel = await context.remote.open(
      `exec /bin/sh -c '${remoteScript(nonce)}'`,
      signal,
    )
    channel.stderr.resume()
    const replies = createReplies(channel, signal)
    const answer = (step: string) => replies.line(`@${nonce} ${step}`)
    // A forced `nix-daemon --stdio` or `nix-store --serve` reads 8 bytes, finds no protocol, and ends
    channel.stdin.write('ping\nping\n')
    const start = async () => {
      for (const step of ['ready', 'pong', 'pong']) await answer(step)
      return true
    }
    if (!(await within(start(), startMs, context)))
      throw new Error(`no answer in ${startMs / 1000} s`)
    let roundTripSeconds = Infinity
    for (let i = 0; i < roundTrips; i++) {
      const from = clock.monotonic()
      channel.stdin.write('ping\n')
      await answer('pong')
      roundTripSeconds = Math.min(roundTripSeconds, (clock.monotonic() - from) / 1000)
    }
    const { stdin } = channel
    const upload = await measureDirection(context, roundTripSeconds, async bytes => {
      stdin.write(`up ${bytes}\n`)
      await write(stdin, bytes)
      await answer('received')
    })
    if (!upload.isComplete)
      return { roundTripSeconds, upload: upload.rate, download: null }
    const { rate: download } = await measureDirection(
      context,
      roundTripSeconds,
      async bytes => {
        stdin.write(`down ${bytes}\n`)
        await replies.bytes(bytes)
      },
    )
    context.trace(
      'throughput',
      `upload ${formatRate(upload.rate)}, download ${formatRate(download)}`,
    )
    return { roundTripSeconds, upload: upload.rate, download }
  } catch (error) {
    const detail = oneLine(error instanceof Error ? error.message : String(error))
    return { status: 'skipped', kind: 'no_data', params: { detail } }
  } finally {
    channel?.close()
  }
}

/** Transfers blocks until the next would take too long. The rate is that of the last one, in bytes per second. */
const measureDirection = async (
  context: ProbeContext,
  roundTripSeconds: number,
  transfer: (bytes: number) => Promise<void>,
): Promise<{ readonly rate: number; readonly isComplete: boolean }> => {
  const { clock } = context
  let from = clock.monotonic()
  let rate = 0
  let size = 0
  const transferBlocks = async () => {
    for (const bytes of blockSizes) {
      if (rate > 0 && bytes / rate > maxBlockSeconds) break
      from = clock.monotonic()
      size = bytes
      await transfer(bytes)
      rate = rateOf(bytes, from)
    }
    return true
  }
  const rateOf = (bytes: number, fromMs: number): number =>
    bytes / Math.max((clock.monotonic() - fromMs) / 1000 - roundTripSeconds, 1e-4)
  const isComplete = (await within(transferBlocks(), directionMs, context)) === true
  return { rate: isComplete ? rate : rateOf(size, from), isComplete }
}

/** Resolves with null after this time. */
const within = async <T>(
  work: Promise<T>,
  ms: number,
  { clock, signal }: ProbeContext,
): Promise<T | null> => {
  const ended = new AbortController()
  const late = clock.sleep(ms, AbortSignal.any([signal, ended.signal])).then(() => null)
  late.catch(() => undefined)
  work.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    ended.abort()
  }
}

/** Writes random bytes, which no tunnel can compress, as fast as they are sent. */
const write = async (stdin: Channel['stdin'], bytes: number): Promise<void> => {
  const piece = randomBytes(pieceBytes)
  for (let sent = 0; sent < bytes; sent += pieceBytes)
    await new Promise<void>((resolve, reject) => {
      stdin.write(piece, error => (error ? reject(error) : resolve()))
    })
}
