import type { Channel, Outcome, Probe, ProbeContext, TrustValue } from '../model.ts'
import type { Kind, Params } from '../diagnosis/kinds.ts'
import { classify } from '../diagnosis/messages.ts'
import { evidenceOf, oneLine } from '../diagnosis/text.ts'
import { openServe } from '../nix/serve.ts'
import { storeCommand } from '../nix/store-command.ts'
import { NixError, WireEnd, WireError, WireVersionError } from '../nix/wire-error.ts'
import { openWorker } from '../nix/worker.ts'

/** A path that no store has: asking for it opens the store and changes nothing. */
const noPath = '/nix/store/00000000000000000000000000000000-builder-monitor'
const maxStderr = 16 * 1024
/** What a remote program that just ended may still have to say. */
const lastWordsMs = 1000

/**
 * Which Nix answers, in which protocol, whether the store can be opened and whether our user is trusted: the worker
 * handshake for ssh-ng; for ssh the serve handshake, which says nothing by itself, followed by a real question.
 */
export const trustProbe: Probe<'trust'> = {
  name: 'trust',
  summary: 'Nix answers, opens its store and trusts our user',
  timeoutMs: 8000,
  run: context =>
    context.builder.scheme === 'ssh' ? askServe(context) : askWorker(context),
  samples: ({ trusted }, builder) =>
    trusted === null
      ? []
      : [
          {
            family: 'nix_builder_trusted',
            labels: { builder: builder.name },
            value: trusted ? 1 : 0,
          },
        ],
}

const askWorker = async (context: ProbeContext): Promise<Outcome<TrustValue>> => {
  const asked = await converse(context, storeCommand(context.builder), workerTrust)
  if (!('status' in asked)) return judge(asked.value)
  return asked.kind === 'daemon_crash' ? secondOpinion(context, asked) : asked
}

/** From 2.20 on `nix-daemon --stdio` hides why its own daemon does not answer; nix-store says it. */
const secondOpinion = async (context: ProbeContext, first: Failure): Promise<Failure> => {
  const second = await converse(context, 'nix-store --serve --write', serveVersion)
  const tells =
    'status' in second && (second.kind === 'daemon_down' || second.kind === 'disk_full')
  return tells ? second : first
}

const serveVersion = async (channel: Channel, signal: AbortSignal): Promise<string> => {
  const serve = await openServe(channel, { signal })
  await serve.queryValidPaths([noPath])
  return serve.version
}

const askServe = async (context: ProbeContext): Promise<Outcome<TrustValue>> => {
  const asked = await converse(context, storeCommand(context.builder), serveVersion)
  if ('status' in asked) return asked
  // The serve protocol is silent about trust; where the account allows it, nix-daemon tells
  const worker = await converse(context, 'nix-daemon --stdio', workerTrust)
  const told = 'status' in worker ? null : worker.value
  return judge({
    protocol: 'serve',
    protocolVersion: asked.value,
    nixVersion: told?.nixVersion ?? null,
    trusted: told?.trusted ?? null,
    trustBy: told?.trustBy ?? null,
  })
}

const judge = (value: TrustValue): Outcome<TrustValue> =>
  value.trusted === false
    ? { status: 'degraded', kind: 'not_trusted', params: {}, value }
    : { status: 'ok', value }

const workerTrust = async (
  channel: Channel,
  signal: AbortSignal,
): Promise<TrustValue> => {
  const worker = await openWorker(channel, { signal })
  await worker.isValidPath(noPath).catch((error: unknown) => {
    // Another store directory than /nix/store: it was opened all the same
    if (!(error instanceof NixError && /not in the Nix store/.test(error.message)))
      throw error
  })
  const byFlag = worker.trusted !== null
  return {
    protocol: 'worker',
    protocolVersion: worker.version,
    nixVersion: worker.nixVersion,
    trusted: byFlag ? worker.trusted : await worker.isTrusted(),
    trustBy: byFlag ? 'flag' : 'repair',
  }
}

type Failure = Extract<Outcome<TrustValue>, { status: 'failed' | 'busy' }>

/** Runs one conversation over a new channel and names what ended it. */
const converse = async <T>(
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
    if (signal.aborted) return nameSilence(stderr)
    const lastWords = context.clock.sleep(lastWordsMs, signal).catch(() => undefined)
    channel.stdin.end()
    const ended = await Promise.race([channel.exit, lastWords])
    return nameFailure(error, stderr, ended?.code ?? null, command)
  } finally {
    channel.close()
  }
}

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
    const told = classify(error.message)
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
