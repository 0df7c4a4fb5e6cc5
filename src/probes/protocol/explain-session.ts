import { randomBytes } from 'node:crypto'
import type { Channel, Failure, ProbeContext } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { oneLine, truncateEvidence } from '../../text/truncate.ts'
import { createUtf8Decoder } from '../../text/utf8.ts'

/** Time for a shell that answers at once with other input, milliseconds. */
const answerMs = 10_000
/** Wait for the output of a command that has ended, milliseconds. */
const drainMs = 500
const maxChars = 16 * 1024

/**
 * Explains a session that ended or hung without a reason: asks the login shell to print a word. Returns a better failure,
 * or `failure` when the shell works, so that Nix is the cause, and for accounts without a shell.
 */
export const explainSession = async (
  context: ProbeContext,
  failure: Failure,
): Promise<Failure> => {
  const isHanging = failure.kind === 'daemon_frozen'
  if (!isHanging && failure.kind !== 'daemon_crash' && failure.kind !== 'shell_noise')
    return failure
  const withoutInput = await askShell(context, { endInput: true })
  if (withoutInput === null) return failure
  context.trace('shell', withoutInput.isDone ? 'prints the word' : withoutInput.text)
  if (withoutInput.isDone) {
    if (!isHanging) return failure
    const withInput = await askShell(context, { endInput: false })
    return withInput?.isDone === false && !withInput.hasEnded
      ? { ...failure, kind: 'shell_reads_input' }
      : failure
  }
  if (isFromNix(withoutInput.text)) return failure
  if (!withoutInput.hasEnded)
    return isHanging && !withoutInput.text ? { ...failure, kind: 'shell_hangs' } : failure
  const { text, exitCode } = withoutInput
  const classified = classify(text, 'remote')
  const detail = oneLine(text) || `exit code ${exitCode ?? 'unknown'}`
  return {
    status: 'failed',
    kind: classified?.kind ?? 'session_ended',
    params: { ...failure.params, detail, ...classified?.params },
    ...(text
      ? { evidence: truncateEvidence(text) }
      : failure.evidence
        ? { evidence: failure.evidence }
        : {}),
  }
}

/** Returns whether a forced command answered instead of the shell. */
const isFromNix = (text: string): boolean =>
  /unexpected end-of-file|protocol mismatch|only allowed|nixc|oixd/i.test(text)

interface ShellAnswer {
  /** True when the shell printed the word. */
  readonly isDone: boolean
  readonly hasEnded: boolean
  readonly exitCode: number | null
  /** What it printed, without the word. */
  readonly text: string
}

/** Asks the login shell to print a word. Null when no channel opens. */
const askShell = async (
  { remote, signal, clock }: ProbeContext,
  { endInput }: { readonly endInput: boolean },
): Promise<ShellAnswer | null> => {
  const word = randomBytes(8).toString('hex')
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(answerMs)])
  let channel: Channel
  try {
    channel = await remote.open(`echo ${word}`, deadline)
  } catch {
    return null
  }
  let text = ''
  let markDone: () => void = () => undefined
  const done = new Promise<void>(resolve => (markDone = resolve))
  for (const stream of [channel.stdout, channel.stderr]) {
    const decode = createUtf8Decoder()
    stream.on('data', (chunk: Buffer) => {
      if (text.length < maxChars) text += decode(chunk)
      if (text.includes(word)) markDone()
    })
  }
  if (endInput) channel.stdin.end()
  let exitCode: number | null = null
  let hasEnded = false
  const ended = channel.exit.then(async ({ code }) => {
    // The exit can arrive before the output
    await Promise.race([done, clock.sleep(drainMs, deadline).catch(() => undefined)])
    hasEnded = true
    exitCode = code
  })
  await Promise.race([
    done,
    ended,
    clock.sleep(answerMs, deadline).catch(() => undefined),
  ])
  channel.close()
  return {
    isDone: text.includes(word),
    hasEnded,
    exitCode,
    text: text.replace(word, '').trim(),
  }
}
