import type { ClientOutcome, Run, RunResult } from '../../model/index.ts'
import { plainText } from '../../nix/internal-json.ts'
import { redactSecrets } from '../../text/redact.ts'
import { oneLine } from '../../text/truncate.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** No machine has this system, so the hook refuses the build without a login. */
export const trialSystem = 'builder-monitor-trial'

/** The same each time: one small .drv file in the store, which a garbage collection removes. */
export const trialExpression = `derivation { name = "${trialSystem}"; system = "${trialSystem}"; builder = "/bin/sh"; allowSubstitutes = false; }`

/** Usually it takes 0.1 s. */
const timeoutMs = 30_000

/**
 * Checks whether a build with the user's own settings gets as far as the list of builders: Nix starts, opens its store and
 * asks its build hook. Builds nothing and logs in nowhere.
 */
export const checkHook = async (context: ClientContext): Promise<ClientOutcome> => {
  const { active, localSystem, daemon, run } = context
  if (active.source === 'demo' || active.nix.version === null || !run)
    return outcome('skipped', 'no_local_nix')
  if (active.builders.length === 0)
    return outcome('skipped', 'not_applicable', { detail: 'there is no builder' })
  if (active.problems.some(({ isFatal }) => isFatal))
    return outcome('skipped', 'dependency_failed', { waitsFor: 'config' })
  const needsDaemon = localSystem.uid !== 0
  if (needsDaemon && !daemon.answers)
    return outcome('skipped', 'dependency_failed', { waitsFor: 'daemon' })
  const ours = await startTrial(run, context, {})
  if (ours.status !== 'ok' || needsDaemon || !daemon.answers) return ours
  return startTrial(run, context, { NIX_REMOTE: 'daemon' })
}

const startTrial = async (
  run: Run,
  { env, signal }: ClientContext,
  changes: Readonly<Record<string, string>>,
): Promise<ClientOutcome> => {
  const deadline = AbortSignal.timeout(timeoutMs)
  const result = await run({
    file: 'nix-build',
    args: [
      ...['--max-jobs', '0', '--no-out-link'],
      ...['--option', 'substitute', 'false'],
      ...['--option', 'pure-eval', 'false', '--option', 'restrict-eval', 'false'],
      ...['-E', trialExpression],
    ],
    // Our directory for temporary files says nothing about other builds
    env: { ...env, TMPDIR: undefined, ...changes },
    signal: AbortSignal.any([signal, deadline]),
    maxBytes: 64 * 1024,
  })
  if (signal.aborted) return outcome('skipped', 'no_data')
  const through = 'NIX_REMOTE' in changes ? ' through nix-daemon' : ''
  return readTrial(result, through)
}

const waiting = /waiting for the (?:big )?garbage collector lock|running auto-GC/

/** Whether the hook has looked for a machine and found none, as it must. */
const isRefused = /Failed to find a machine for remote build/
/** Before 2.4 and of other vendors. */
const isRefusedQuietly =
  /unable to start any build|system or feature not available|is required to build/
const isHookDead = /unexpected EOF reading a line|build hook died|bad hook reply/

const readTrial = (result: RunResult, through: string): ClientOutcome => {
  const text = plainText(result.stderr)
  if (result.spawnError)
    return outcome('skipped', 'no_local_nix', { detail: result.spawnError })
  if (isRefused.test(text) && !isHookDead.test(text)) return ok
  if (result.aborted)
    return waiting.test(text)
      ? outcome('skipped', 'gc_wait', { host: 'this machine' })
      : outcome('degraded', 'build_not_started', {
          detail: `nix-build${through} does not answer within ${timeoutMs / 1000} s: ${lastLine(text)}`,
        })
  if (isRefusedQuietly.test(text) && !isHookDead.test(text)) return ok
  return outcome('failed', 'build_not_started', {
    detail: oneLine(
      redactSecrets(`${through ? 'through nix-daemon: ' : ''}${reasonOf(text)}`),
      400,
    ),
  })
}

/** Nix 2.30 and newer, where no hook replied. */
const isNotAsked = /local builds are disabled/
const notAsked =
  'Nix asks no builder: the list that it has read is empty, or build-hook is. nix-daemon reads nix.conf only at its start'

/** Returns the line that matters: the first error that is not about the hook's silence, which follows from it. */
const reasonOf = (text: string): string => {
  const lines = text.slice(0, 16_384).split('\n')
  const errors = lines.flatMap(line => {
    const at = line.indexOf('error: ')
    return at < 0 ? [] : [line.slice(at + 'error: '.length)]
  })
  return (
    errors.find(line => !isHookDead.test(line) && !line.startsWith('Cannot build')) ??
    (isNotAsked.test(text) && !isHookDead.test(text) ? notAsked : null) ??
    (isHookDead.test(text)
      ? 'the build hook ended without a reply'
      : (errors[0] ?? lastLine(text)))
  )
}

const lastLine = (text: string): string =>
  oneLine(text.trim().split('\n').at(-1) ?? '', 200)
