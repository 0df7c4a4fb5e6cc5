import type { Channel, Outcome, ProbeContext, Kind, Params } from '../../model/index.ts'
import { classify } from '../../diagnosis/classify.ts'
import { sanitize } from '../../text/sanitize.ts'
import { truncateEvidence, oneLine } from '../../text/truncate.ts'
import {
  NixError,
  UnexpectedEofError,
  ProtocolError,
  UnsupportedVersionError,
} from '../../nix/protocol/errors.ts'
import { createUtf8Decoder } from '../../text/utf8.ts'

const maxStderr = 16 * 1024
/** Wait for stderr of a remote program that has just exited. */
const stderrDrainMs = 1000

/** Why a protocol session failed. */
export type ProtocolFailure = Extract<Outcome<never>, { status: 'failed' | 'busy' }>

/** Runs one protocol session over a new channel and classifies its failure. */
export const withProtocol = async <T>(
  context: ProbeContext,
  command: string,
  exchange: (channel: Channel, signal: AbortSignal) => Promise<T>,
): Promise<{ value: T } | ProtocolFailure> => {
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
  const decode = createUtf8Decoder()
  channel.stderr.on('data', (chunk: Buffer) => {
    if (stderr.length < maxStderr) stderr += decode(chunk)
  })
  try {
    return { value: await exchange(channel, signal) }
  } catch (error) {
    context.trace(
      signal.aborted ? 'timeout' : 'session failed',
      [
        error instanceof Error ? error.message : String(error),
        formatReceived(error),
      ].join(''),
    )
    if (signal.aborted) return classifyTimeout(stderr)
    // A NixError is complete. After an early end of stream, stderr can still contain the reason
    if (error instanceof NixError) return classifyFailure(error, stderr, null, command)
    const stderrDrained = context.clock
      .sleep(stderrDrainMs, signal)
      .catch(() => undefined)
    channel.stdin.end()
    const ended = await Promise.race([channel.exit, stderrDrained])
    return classifyFailure(error, stderr, ended?.code ?? null, command)
  } finally {
    if (stderr) context.trace('stderr', stderr)
    channel.close()
  }
}

const formatReceived = (error: unknown): string =>
  error instanceof ProtocolError || error instanceof UnexpectedEofError
    ? `; received ${JSON.stringify(error.received)}`
    : ''

const failure = (kind: Kind, params: Params = {}, evidence = ''): ProtocolFailure => ({
  status: 'failed',
  kind,
  params,
  ...(evidence ? { evidence: truncateEvidence(evidence) } : {}),
})

/** Classifies a timeout by stderr; without a match the remote accepted our request and never answered. */
const classifyTimeout = (stderr: string): ProtocolFailure => {
  if (/waiting for the big garbage collector lock/.test(stderr))
    return { status: 'busy', kind: 'gc_wait', params: {} }
  const classified = classify(stderr)
  return classified
    ? failure(classified.kind, classified.params, stderr)
    : failure('daemon_frozen', {}, stderr)
}

const classifyFailure = (
  error: unknown,
  stderr: string,
  exitCode: number | null,
  command: string,
): ProtocolFailure => {
  const program = command.split(' ')[0] ?? 'nix-daemon'
  if (error instanceof NixError) {
    const classified = classify(error.message, 'remote')
    return failure(
      classified?.kind ?? 'unclassified',
      classified?.params ?? { detail: oneLine(error.message) },
      error.message,
    )
  }
  if (error instanceof UnsupportedVersionError)
    return failure('nix_version', { detail: error.message }, stderr)
  // This message is from nix-daemon: a forced command runs the other protocol
  if (program !== 'nix-daemon' && /unexpected EOF from daemon socket/.test(stderr))
    return failure(
      'protocol_mismatch',
      { detail: 'nix-daemon --stdio answers for nix-store --serve' },
      stderr,
    )
  const classified = classify(stderr)
  if (error instanceof ProtocolError || error instanceof UnexpectedEofError) {
    const evidence = [stderr, error.received].filter(Boolean).join('\n')
    const classifiedOutput = classify(error.received)
    if (
      classifiedOutput?.kind === 'nologin' ||
      classifiedOutput?.kind === 'session_ended'
    )
      return failure(classifiedOutput.kind, { detail: oneLine(error.received) }, evidence)
    if (classified && classified.kind !== 'daemon_crash')
      return failure(
        classified.kind,
        {
          program,
          ...classified.params,
          ...(classified.kind === 'nix_missing' ? programIn(classified.line) : {}),
        },
        evidence,
      )
    if (exitCode === 127)
      // The shell names another program: a forced command or a start-up file
      return stderr.trim() && !/nix-(?:daemon|store)/.test(stderr)
        ? failure('session_ended', { detail: oneLine(lastLine(stderr)) }, evidence)
        : failure('nix_missing', { program }, evidence)
    if (exitCode === 126) {
      const detail = oneLine(lastLine(stderr))
      return failure('nix_not_executable', { program, detail }, evidence)
    }
    if (error instanceof ProtocolError && error.offset < 16) {
      const detail = `it sends ${JSON.stringify(oneLine(error.received, 80))}`
      return failure(
        isOtherProtocol(error.received, program) ? 'protocol_mismatch' : 'shell_noise',
        { detail },
        evidence,
      )
    }
    if (error instanceof ProtocolError)
      return failure('protocol', { detail: error.message }, evidence)
    if (error.received) {
      const detail = `it sends ${JSON.stringify(oneLine(error.received, 80))}`
      if (looksLikeText(error.received))
        return failure('shell_noise', { detail }, evidence)
    }
    return failure(
      classified?.kind ?? 'daemon_crash',
      {
        program,
        ...(classified?.params ?? {
          detail:
            lastError(stderr) ??
            ((error.offset === 0 && oneLine(lastLine(stderr))) || error.message),
        }),
      },
      evidence,
    )
  }
  return failure('internal', { detail: oneLine(String(error)) }, stderr)
}

/**
 * Whether the output begins with the magic number of the other program (`oixd` of nix-daemon, 0x5452eecb of nix-store
 * --serve), or has no text at all. The magic number of `program` itself means that something was printed before it.
 */
const isOtherProtocol = (received: string, program: string): boolean => {
  const isStore = program.endsWith('nix-store')
  const other = isStore ? /^oixd/ : /^[^\x20-\x7e\n]{1,4}RT/
  return other.test(received) || !/[\x20-\x7e\n]/.test(received)
}

/** The path of a missing program, which a forced command names. */
const programIn = (line: string): Params => {
  const path = line
    .split(/[\s:'"`]+/)
    .find(word => /^\/.*\/nix(?:-daemon|-store)?$/.test(word))
  return path ? { program: oneLine(path, 200) } : {}
}

/** Returns the innermost error that Nix printed. */
const lastError = (stderr: string): string | null => {
  const line = sanitize(stderr, maxStderr)
    .split('\n')
    .findLast(each => /^\W*(?:what\(\):\s*)?error: \S/.test(each.slice(0, 400)))
  return line === undefined ? null : oneLine(line.slice(line.indexOf('error: ')))
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

/** Whether the output is text, not another binary protocol. */
const looksLikeText = (received: string): boolean => /[A-Za-z]{3}[ ,.:!]/.test(received)
