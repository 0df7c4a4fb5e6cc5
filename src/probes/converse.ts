import type { Channel, Outcome, ProbeContext } from '../model.ts'
import type { Kind, Params } from '../diagnosis/kinds.ts'
import { classify } from '../diagnosis/messages.ts'
import { evidenceOf, oneLine } from '../diagnosis/text.ts'
import { NixError, WireEnd, WireError, WireVersionError } from '../nix/wire-error.ts'

const maxStderr = 16 * 1024
/** What a remote program that just ended may still have to say. */
const lastWordsMs = 1000

/** Why a conversation ended before its time. */
export type Failure = Extract<Outcome<never>, { status: 'failed' | 'busy' }>

/** Runs one conversation over a new channel and names what ended it. */
export const converse = async <T>(
  context: ProbeContext,
  command: string,
  talk: (channel: Channel, signal: AbortSignal) => Promise<T>,
): Promise<{ value: T } | Failure> => {
  const { signal } = context
  let channel: Channel
  try {
    channel = await context.remote.open(command, signal)
  } catch (error) {
    const detail = oneLine(error instanceof Error ? error.message : String(error))
    return signal.aborted
      ? failure('daemon_frozen')
      : failure('connection_lost', { detail })
  }
  let stderr = ''
  channel.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += chunk.toString('utf8')
  })
  try {
    return { value: await talk(channel, signal) }
  } catch (error) {
    context.trace(
      signal.aborted ? 'no answer in time' : 'the conversation ended',
      [error instanceof Error ? error.message : String(error), receivedOf(error)].join(
        '',
      ),
    )
    if (signal.aborted) return nameSilence(stderr)
    // A no of the remote Nix is whole; of an end that came too soon stderr may still tell the reason
    if (error instanceof NixError) return nameFailure(error, stderr, null, command)
    const lastWords = context.clock.sleep(lastWordsMs, signal).catch(() => undefined)
    channel.stdin.end()
    const ended = await Promise.race([channel.exit, lastWords])
    return nameFailure(error, stderr, ended?.code ?? null, command)
  } finally {
    if (stderr) context.trace('stderr', stderr)
    channel.close()
  }
}

const receivedOf = (error: unknown): string =>
  error instanceof WireError || error instanceof WireEnd
    ? `; received ${JSON.stringify(error.received)}`
    : ''

const failure = (kind: Kind, params: Params = {}, evidence = ''): Failure => ({
  status: 'failed',
  kind,
  params,
  ...(evidence ? { evidence: evidenceOf(evidence) } : {}),
})

/** The deadline came: what was said so far may tell why, else somebody took our bytes and never answered. */
const nameSilence = (stderr: string): Failure => {
  if (/waiting for the big garbage collector lock/.test(stderr))
    return { status: 'busy', kind: 'gc_wait', params: {} }
  const told = classify(stderr)
  return told
    ? failure(told.kind, told.params, stderr)
    : failure('daemon_frozen', {}, stderr)
}

const nameFailure = (
  error: unknown,
  stderr: string,
  exitCode: number | null,
  command: string,
): Failure => {
  const program = command.split(' ')[0] ?? 'nix-daemon'
  if (error instanceof NixError) {
    const told = classify(error.message, 'remote')
    return failure(
      told?.kind ?? 'unclassified',
      told?.params ?? { detail: oneLine(error.message) },
      error.message,
    )
  }
  if (error instanceof WireVersionError)
    return failure('nix_version', { detail: error.message }, stderr)
  // These words are nix-daemon's: a forced command that serves the other protocol
  if (program !== 'nix-daemon' && /unexpected EOF from daemon socket/.test(stderr))
    return failure(
      'protocol_mismatch',
      { detail: 'nix-daemon --stdio answers for nix-store --serve' },
      stderr,
    )
  const told = classify(stderr)
  if (error instanceof WireError || error instanceof WireEnd) {
    const evidence = [stderr, error.received].filter(Boolean).join('\n')
    const said = classify(error.received)
    if (said?.kind === 'nologin')
      return failure('nologin', { detail: oneLine(error.received) }, evidence)
    if (told && told.kind !== 'daemon_crash')
      return failure(told.kind, { program, ...told.params }, evidence)
    if (exitCode === 127) return failure('nix_missing', { program }, evidence)
    if (exitCode === 126) return failure('nix_not_executable', { program }, evidence)
    if (error instanceof WireError && error.offset < 16) {
      const detail = `it says ${JSON.stringify(oneLine(error.received, 80))}`
      return failure(
        looksLikeText(error.received) ? 'shell_noise' : 'protocol_mismatch',
        { detail },
        evidence,
      )
    }
    if (error instanceof WireError)
      return failure('protocol', { detail: error.message }, evidence)
    if (error.received) {
      const detail = `it says ${JSON.stringify(oneLine(error.received, 80))}`
      if (looksLikeText(error.received))
        return failure('shell_noise', { detail }, evidence)
    }
    return failure(
      told?.kind ?? 'daemon_crash',
      { program, ...(told?.params ?? { detail: error.message }) },
      evidence,
    )
  }
  return failure('internal', { detail: oneLine(String(error)) }, stderr)
}

/** Words rather than the other protocol's bytes. */
const looksLikeText = (received: string): boolean => /[A-Za-z]{3,}[ ,.:!]/.test(received)
