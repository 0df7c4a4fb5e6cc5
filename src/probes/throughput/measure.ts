import { randomBytes } from 'node:crypto'
import type {
  Channel,
  Outcome,
  ProbeContext,
  ThroughputValue,
} from '../../model/index.ts'
import { formatRate } from '../../text/rate.ts'
import { oneLine } from '../../text/truncate.ts'
import { createReplies, type Replies } from './replies.ts'

const mebibyte = 1024 * 1024
/** Sent before the measured part, so that TCP has left its slow start. */
const warmUpBytes = mebibyte / 4
const measuredBytes = mebibyte
const pieceBytes = 64 * 1024
/** Limit of each direction. A slower link is reported as this slow. */
const directionMs = 25_000
const roundTrips = 3

/** One measurement. Rates in bytes per second; null if a direction was not measured. */
export type Measurement = Pick<
  ThroughputValue,
  'roundTripSeconds' | 'upload' | 'download'
>

/** The remote side: answers to lines, reads, then writes. `head` reads no more than there is, because we wait for each answer. */
const remoteScript = (nonce: string): string => {
  const answer = (step: string | number) => `echo @${nonce} ${step}`
  const pings = Array.from({ length: roundTrips }, (_, i) => `read x; ${answer(i)}`)
  return [
    answer('ready'),
    ...pings,
    `head -c ${warmUpBytes} >/dev/null; ${answer('warm')}`,
    `head -c ${measuredBytes} >/dev/null; ${answer('received')}`,
    `read x; exec head -c ${warmUpBytes + measuredBytes} /dev/urandom`,
  ].join('; ')
}

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
    const answer = (step: string | number) => replies.line(`@${nonce} ${step}`)
    await answer('ready')
    let roundTripSeconds = Infinity
    for (let i = 0; i < roundTrips; i++) {
      const from = clock.monotonic()
      channel.stdin.write('\n')
      await answer(i)
      roundTripSeconds = Math.min(roundTripSeconds, (clock.monotonic() - from) / 1000)
    }
    const rate = (fromMs: number) =>
      measuredBytes /
      Math.max((clock.monotonic() - fromMs) / 1000 - roundTripSeconds, 1e-4)
    const upload = await measureUpload(channel, answer, context, rate)
    if (!upload.isComplete)
      return { roundTripSeconds, upload: upload.rate, download: null }
    channel.stdin.write('\n')
    const download = await measureDownload(replies, context)
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

const measureUpload = async (
  channel: Channel,
  answer: (step: string) => Promise<void>,
  { clock, signal }: ProbeContext,
  rate: (fromMs: number) => number,
): Promise<{ readonly rate: number; readonly isComplete: boolean }> => {
  let from = clock.monotonic()
  const send = async () => {
    await write(channel, warmUpBytes)
    await answer('warm')
    from = clock.monotonic()
    await write(channel, measuredBytes)
    await answer('received')
    return true
  }
  const isComplete = await within(send(), clock, signal)
  return { rate: rate(from), isComplete: isComplete === true }
}

const measureDownload = async (
  replies: Replies,
  { clock, signal }: ProbeContext,
): Promise<number> => {
  let from = clock.monotonic()
  const receive = async () => {
    await replies.bytes(warmUpBytes)
    from = clock.monotonic()
    await replies.bytes(measuredBytes)
    return true
  }
  await within(receive(), clock, signal)
  return measuredBytes / Math.max((clock.monotonic() - from) / 1000, 1e-4)
}

/** Resolves with null after the limit of a direction. */
const within = async <T>(
  work: Promise<T>,
  clock: ProbeContext['clock'],
  signal: AbortSignal,
): Promise<T | null> => {
  const ended = new AbortController()
  const late = clock
    .sleep(directionMs, AbortSignal.any([signal, ended.signal]))
    .then(() => null)
  late.catch(() => undefined)
  work.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    ended.abort()
  }
}

/** Writes random bytes, which no tunnel can compress, as fast as they are sent. */
const write = async ({ stdin }: Channel, bytes: number): Promise<void> => {
  const piece = randomBytes(pieceBytes)
  for (let sent = 0; sent < bytes; sent += pieceBytes)
    await new Promise<void>((resolve, reject) => {
      stdin.write(piece, error => (error ? reject(error) : resolve()))
    })
}
