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

/** Limit of the combined command. */
export const telemetryTimeoutMs = 30_000

const maxBytes = 256 * 1024
const sectionMarker = 'section() {'

/**
 * Combines the scripts of the due probes to one POSIX sh script, whose sections begin with the nonce. The remote collects
 * each section and sends it at once: otherwise every write of every program is a separate packet to decrypt.
 */
export const telemetryScript = (
  probes: readonly TelemetryProbe<ProbeName>[],
  nonce: string,
): string =>
  [
    // The remote assembles the marker, so a command that only echoes its input cannot forge one
    `nonce=${nonce}`,
    `${sectionMarker} text=$("facts_$1"); printf '\\n@%s %s\\n%s\\n' "$nonce" "$1" "$text"; }`,
    'LC_ALL=C; export LC_ALL',
    ...probes.flatMap(({ name, script }) => [
      `facts_${name}() {`,
      script.trim(),
      '}',
      `section ${name}`,
    ]),
    'facts_end() { :; }',
    'section end',
    '',
  ].join('\n')

/** Splits the output into sections; a section that is not followed by another is truncated and omitted. */
export const splitSections = (output: string, nonce: string): Map<string, string> => {
  const sections = new Map<string, string>()
  const parts = output.split(`\n@${nonce} `).slice(1)
  parts.forEach((part, i) => {
    const end = part.indexOf('\n')
    const name = (end < 0 ? part : part.slice(0, end)).trim()
    if (i < parts.length - 1 || name === 'end') sections.set(name, part.slice(end + 1))
  })
  return sections
}

/**
 * Runs all due probes with one remote command. Without a shell they are skipped, not failed: builds can still work.
 */
export const readTelemetry = async (
  probes: readonly TelemetryProbe<ProbeName>[],
  context: ProbeContext,
): Promise<ReadonlyMap<ProbeName, Outcome>> => {
  const nonce = randomBytes(12).toString('hex')
  const sentAt = context.clock.now() / 1000
  const script = telemetryScript(probes, nonce)
  context.trace('script', script)
  const answer = await runScript(context, script)
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

const runScript = async (context: ProbeContext, script: string): Promise<Answer> => {
  let output = ''
  let stderr = ''
  const decodeOutput = createUtf8Decoder()
  const decodeStderr = createUtf8Decoder()
  let error: string | null = null
  let code: number | null = null
  let channel: Channel | undefined
  const { signal } = context
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
