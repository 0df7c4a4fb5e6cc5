import { randomBytes } from 'node:crypto'
import type {
  Channel,
  Outcome,
  ProbeContext,
  ProbeName,
  TelemetryProbe,
  Kind,
  Params,
} from '../../model/index.ts'
import { oneLine } from '../../text/truncate.ts'
import { createUtf8Decoder } from '../../text/utf8.ts'
import type { KeptShell } from './kept-shell.ts'
import { sectionMarker, splitSections, telemetryScript } from './script.ts'

/** Limit of the combined command. */
export const telemetryTimeoutMs = 30_000

const maxBytes = 256 * 1024
/**
 * Runs all due probes in the kept shell, or else with one remote command. Without a shell they are skipped, not failed: builds
 * can still work.
 */
export const readTelemetry = async (
  probes: readonly TelemetryProbe<ProbeName>[],
  context: ProbeContext,
  shell: KeptShell | null = null,
): Promise<ReadonlyMap<ProbeName, Outcome>> => {
  const nonce = randomBytes(12).toString('hex')
  const sentAt = context.clock.now() / 1000
  const answer =
    (await askShell(shell, probes, nonce, context)) ??
    (await runScript(context, telemetryScript(probes, nonce)))
  const receivedAt = context.clock.now() / 1000
  const sections = splitSections(`\n${answer.output}`, nonce)
  for (const [name, text] of sections) context.trace(`section ${name}`, text)
  if (sections.size < probes.length) context.trace('stdout', answer.output)
  if (answer.stderr) context.trace('stderr', answer.stderr)
  const missingOutcome = skipReason(answer, sections.size > 0)
  const outcomes = new Map<ProbeName, Outcome>()
  // `last` includes earlier sections of this answer: disk uses the min-free that system has just reported
  const last: ProbeContext['last'] = probe => {
    const fresh = outcomes.get(probe)
    return fresh && 'value' in fresh && fresh.value
      ? (fresh.value as never)
      : context.last(probe)
  }
  for (const probe of probes) {
    const section = sections.get(probe.name)
    outcomes.set(
      probe.name,
      section === undefined
        ? missingOutcome
        : probe.parse(section, {
            builder: context.builder,
            nix: context.nix,
            last,
            sentAt,
            receivedAt,
          }),
    )
  }
  return outcomes
}

interface Answer {
  readonly output: string
  readonly stderr: string
  readonly code: number | null
  readonly error: string | null
  readonly timedOut: boolean
}

const askShell = async (
  shell: KeptShell | null,
  probes: readonly TelemetryProbe<ProbeName>[],
  nonce: string,
  { signal, trace }: ProbeContext,
): Promise<Answer | null> => {
  if (!shell) return null
  const names = probes.map(({ name }) => name)
  trace('kept shell', names.join(' '))
  const output = await shell.ask(names, nonce, signal)
  if (output !== null)
    return { output, stderr: '', code: 0, error: null, timedOut: signal.aborted }
  trace('kept shell', 'no answer')
  return null
}

const runScript = async (context: ProbeContext, script: string): Promise<Answer> => {
  let output = ''
  let stderr = ''
  const decodeOutput = createUtf8Decoder()
  const decodeStderr = createUtf8Decoder()
  let error: string | null = null
  let code: number | null = null
  let channel: Channel | undefined
  const { signal } = context
  context.trace('script', script)
  try {
    channel = await context.remote.open('exec /bin/sh -s', signal)
    const tooMuch = new Promise<void>(resolve => {
      channel?.stdout.on('data', (chunk: Buffer) => {
        if (output.length < maxBytes) output += decodeOutput(chunk)
        else {
          channel?.stdout.pause()
          resolve()
        }
      })
    })
    channel.stderr.on('data', (chunk: Buffer) => {
      if (stderr.length < 4096) stderr += decodeStderr(chunk)
    })
    channel.stdin.end(script)
    const aborted = new Promise<void>(resolve =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    )
    code = (await Promise.race([channel.exit, tooMuch, aborted]))?.code ?? null
  } catch (cause) {
    error = oneLine(cause instanceof Error ? cause.message : String(cause))
  } finally {
    channel?.close()
  }
  return { output, stderr, code, error, timedOut: signal.aborted }
}

/** Returns why a section is missing. Never a failure: login and trust decide whether the builder works. */
const skipReason = (answer: Answer, hasSections: boolean): Outcome => {
  const skip = (kind: Kind, params: Params = {}): Outcome => ({
    status: 'skipped',
    kind,
    params,
  })
  if (answer.error) return skip('no_data', { detail: answer.error })
  if (hasSections || answer.timedOut)
    return skip('no_data', { detail: 'no answer in time' })
  const text = `${answer.output}\n${answer.stderr}`
  // A forced command parses our script as its input, echoes it, or prints an error, often with exit status 0
  return text.includes(sectionMarker) ||
    /unexpected end-of-file|protocol mismatch|only allowed|too large for type|nixc|oixd/i.test(
      text,
    ) ||
    (answer.code === 0 && !text.trim())
    ? skip('forced_command')
    : skip('no_shell')
}
