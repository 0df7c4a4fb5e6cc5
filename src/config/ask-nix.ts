import type { Run, RunResult } from '../model.ts'
import { atLeast, isLix, versionIn } from '../nix/flavour.ts'
import { readSettings, type Settings } from '../nix/settings.ts'
import type { Env } from './nix-files.ts'

/** What the local Nix says about itself. */
export interface NixAnswer {
  /** Null where there is no nix, or where it does not tell. */
  readonly version: string | null
  /** Null where Nix did not tell. */
  readonly settings: Settings | null
  /** Why a nix that exists did not tell; null where it did, or where there is none. */
  readonly failure: string | null
}

export interface AskNix {
  readonly run: Run
  /** Program name or path. */
  readonly nix: string
  readonly env: Env
  readonly signal: AbortSignal
}

/** Milliseconds for each of the questions. */
const patienceMs = 10_000

/** Asks the local nix for its version and its effective settings. Never rejects. */
export const askNix = async (ask: AskNix): Promise<NixAnswer> => {
  // a broken nix.conf fails even --version, so it is asked without one
  const bare = { NIX_CONF_DIR: '/nonexistent', NIX_USER_CONF_FILES: '', NIX_CONFIG: '' }
  const first = await runNix({ ...ask, env: { ...ask.env, ...bare } }, ['--version'])
  if (first.spawnError === 'ENOENT')
    return { version: null, settings: null, failure: null }
  const version = versionIn(first.stdout)
  let failure = first.code === 0 ? null : failureOf(first)
  for (const command of commandsFor(version)) {
    const result = await runNix(ask, [...featuresFor(version), ...command, '--json'])
    const settings =
      result.code === 0 && !result.truncated ? readSettings(result.stdout) : null
    if (typeof settings?.get('builders') === 'string')
      return { version, settings, failure: null }
    failure = failureOf(result)
    if (!/unrecogni[sz]ed|not a recogni[sz]ed|unknown command/i.test(result.stderr)) break
  }
  return { version, settings: null, failure }
}

/** `nix config show` since 2.20; Lix keeps the old name for long. The other one is the second try. */
const commandsFor = (version: string | null): readonly (readonly string[])[] => {
  const commands = [['config', 'show'], ['show-config']]
  const isNew = isLix(version) ? atLeast(version, 2, 96) : atLeast(version, 2, 20)
  return isNew ? commands : commands.toReversed()
}

const featuresFor = (version: string | null): readonly string[] =>
  atLeast(version, 2, 4) ? ['--extra-experimental-features', 'nix-command'] : []

const runNix = ({ run, nix, env, signal }: AskNix, args: readonly string[]) =>
  run({
    file: nix,
    args,
    env,
    signal: AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]),
    maxBytes: 4 * 1_048_576,
  })

/** The last error that Nix printed (the first ones are traces), or how it ended. */
const failureOf = (result: RunResult): string => {
  if (result.spawnError) return `nix cannot be started: ${result.spawnError}`
  if (result.aborted) return `nix did not answer within ${patienceMs / 1000} s`
  const errors = result.stderr
    .slice(-16_384)
    .replaceAll(/\u001b\[[0-9;]*m/g, '')
    .match(/error: .*$/gm)
  return errors?.at(-1)?.slice(7, 400) ?? `nix ended with ${result.code ?? result.signal}`
}
