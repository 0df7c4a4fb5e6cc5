import type { Run, RunResult } from '../../model/index.ts'
import { atLeast, isLix, parseNixVersion } from '../../nix/dialect.ts'
import { readSettings, type Settings } from '../../nix/settings.ts'
import type { Env } from './nix-conf-files.ts'

/** Version and settings of the local Nix. */
export interface NixSettingsResult {
  /** Null if there is no nix or it reports none. */
  readonly version: string | null
  /** Null if Nix reported none. */
  readonly settings: Settings | null
  /** Why an existing nix reported no settings; null on success or without nix. */
  readonly failure: string | null
}

export interface NixSettingsRequest {
  readonly run: Run
  /** Program name or path. */
  readonly nix: string
  readonly env: Env
  readonly signal: AbortSignal
}

/** Limit of each command. */
const timeoutMs = 10_000

/** Runs the local nix for its version and effective settings. Never rejects. */
export const readNixSettings = async (
  request: NixSettingsRequest,
): Promise<NixSettingsResult> => {
  // an invalid nix.conf fails even --version, so it runs without one
  const withoutConfig = {
    NIX_CONF_DIR: '/nonexistent',
    NIX_USER_CONF_FILES: '',
    NIX_CONFIG: '',
    // A store that Nix does not know ends it too (2.34)
    NIX_REMOTE: '',
  }
  const versionRun = await runNix(
    { ...request, env: { ...request.env, ...withoutConfig } },
    ['--version'],
  )
  if (versionRun.spawnError === 'ENOENT')
    return { version: null, settings: null, failure: null }
  const version = parseNixVersion(versionRun.stdout)
  let failure = versionRun.code === 0 ? null : describeFailure(versionRun)
  for (const command of settingsCommands(version)) {
    const result = await runNix(request, [...featureArgs(version), ...command, '--json'])
    const settings =
      result.code === 0 && !result.truncated ? readSettings(result.stdout) : null
    if (typeof settings?.get('builders') === 'string')
      return { version, settings, failure: null }
    failure = describeFailure(result)
    if (!/unrecogni[sz]ed|not a recogni[sz]ed|unknown command/i.test(result.stderr)) break
  }
  return { version, settings: null, failure }
}

/** `nix config show` since 2.20; Lix renamed it in 2.96. The other name is the fallback. */
const settingsCommands = (version: string | null): readonly (readonly string[])[] => {
  const commands = [['config', 'show'], ['show-config']]
  const isNew = isLix(version) ? atLeast(version, 2, 96) : atLeast(version, 2, 20)
  return isNew ? commands : commands.toReversed()
}

const featureArgs = (version: string | null): readonly string[] =>
  atLeast(version, 2, 4) ? ['--extra-experimental-features', 'nix-command'] : []

const runNix = ({ run, nix, env, signal }: NixSettingsRequest, args: readonly string[]) =>
  run({
    file: nix,
    args,
    env,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    maxBytes: 4 * 1_048_576,
  })

/** Returns the last error that Nix printed (earlier ones are traces), or how it exited. */
const describeFailure = (result: RunResult): string => {
  if (result.spawnError) return `nix cannot be started: ${result.spawnError}`
  if (result.aborted) return `nix did not answer within ${timeoutMs / 1000} s`
  const errors = result.stderr
    .slice(-16_384)
    .replaceAll(/\u001b\[[0-9;]*m/g, '')
    .match(/error: .*$/gm)
  return (
    errors?.at(-1)?.slice(7, 400) ?? `nix exited with ${result.code ?? result.signal}`
  )
}
