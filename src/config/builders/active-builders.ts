import type { ActiveBuilders, LocalSetting, Problem, Run } from '../../model/index.ts'
import { dialectOf } from '../../nix/dialect.ts'
import { nameBuilders } from '../../nix/machines/builder-names.ts'
import { stringSetting, type Settings } from '../../nix/settings.ts'
import { redactSecrets } from '../../text/redact.ts'
import { readNixSettings } from './nix-settings.ts'
import { readMachines } from './machine-files.ts'
import {
  defaultBuilders,
  readNixFiles,
  type SettingAssignment,
  type Env,
  type NixFiles,
} from './nix-conf-files.ts'
import { limitProblems, createTextSource, type ReadFile } from './text-source.ts'

export interface ActiveBuildersDeps {
  readonly run: Run
  readonly readFile: ReadFile
  /** The environment of Nix. */
  readonly env: Env
  /** `process.arch` and `process.platform`: used for the system if Nix does not report it. */
  readonly arch: string
  readonly platform: string
  /** Name or path of the nix program; default `nix`. */
  readonly nix?: string
  readonly signal: AbortSignal
}

/**
 * Reads the builders that this Nix uses: from the settings Nix reports, or from Nix's files if there is no nix or it
 * fails. Never rejects; errors are returned as problems.
 */
export const readActiveBuilders = async (
  deps: ActiveBuildersDeps,
): Promise<ActiveBuilders> => {
  const { run, env, signal, nix = 'nix' } = deps
  const answer = await readNixSettings({ run, nix, env, signal })
  const dialect = dialectOf(answer.version)
  const source = createTextSource(deps.readFile)
  const files = await readNixFiles(source, env, dialect)
  const reported = answer.settings && stringSetting(answer.settings, 'builders')
  const configured = files.settings.get('builders') ?? defaultBuilders(env, dialect)
  const builders = reported === null ? configured : withOrigin(reported, configured)
  const system =
    (answer.settings && stringSetting(answer.settings, 'system')) ??
    files.settings.get('system')?.value ??
    nixSystem(deps.arch, deps.platform)
  const expanded = await readMachines(builders, source, dialect, system)
  return {
    source: reported === null ? 'files' : 'nix',
    builders: nameBuilders(expanded.machines),
    problems: limitProblems([
      // if Nix accepts its files, our errors about them are irrelevant
      ...(reported === null ? configProblems(files, answer.failure) : []),
      ...expanded.problems,
    ]),
    files: [...source.files],
    nix: {
      version: answer.version,
      system,
      settings: localSettings(answer.settings, files),
      configFiles: files.system,
      syntaxPitfalls: expanded.syntaxPitfalls,
    },
  }
}

/** Nix reports values without origin: uses that of an equal value in the files. */
const withOrigin = (
  reported: string,
  configured: SettingAssignment,
): SettingAssignment =>
  reported === configured.value
    ? configured
    : { value: reported, origin: { file: 'builders setting', line: 1 } }

/** Settings whose text in the files matters to findings. */
const writtenSettings = [
  'builders',
  'builders-use-substitutes',
  'max-jobs',
  'min-free',
  'max-free',
]

/** Settings whose effective value matters to the checks of this machine. */
const effectiveSettings = [
  'build-hook',
  'build-users-group',
  'connect-timeout',
  'download-attempts',
  'max-build-log-size',
  'max-silent-time',
  'plugin-files',
  'post-build-hook',
  'repeat',
  'secret-key-files',
  'store',
  'substitute',
  'substituters',
  'timeout',
  'trusted-public-keys',
]

const localSettings = (
  reported: Settings | null,
  { settings }: NixFiles,
): Readonly<Record<string, LocalSetting>> => {
  const values = new Map<string, LocalSetting>()
  const set = (name: string, value: string, origin: LocalSetting['origin']) =>
    values.set(name, { value: redactSecrets(value), origin })
  for (const name of writtenSettings) {
    const configured = settings.get(name)
    const value = settingText(reported?.get(name))
    if (configured) set(name, configured.value, configured.origin)
    else if (value !== null) set(name, value, null)
  }
  for (const name of effectiveSettings) {
    const configured = settings.get(name) ?? settings.get(`extra-${name}`)
    const value = settingText(reported?.get(name)) ?? configured?.value
    if (value !== undefined) set(name, value, configured?.origin ?? null)
  }
  return Object.fromEntries(values)
}

/** Returns a reported value as nix.conf has it: words with spaces between them. Null for tables. */
const settingText = (value: unknown): string | null => {
  if (Array.isArray(value)) return value.map(String).join(' ')
  return ['string', 'number', 'boolean', 'bigint'].includes(typeof value)
    ? String(value)
    : null
}

const configProblems = (files: NixFiles, failure: string | null): readonly Problem[] => {
  if (failure === null || files.problems.some(problem => problem.isFatal))
    return files.problems
  const name = /setting '([^']+)'/.exec(failure)?.[1]
  const assignment = name === undefined ? undefined : files.settings.get(name)
  if (!assignment)
    return [
      ...files.problems,
      {
        file: files.main,
        line: 1,
        message: `Nix does not report its settings (${failure}): read from its files instead`,
      },
    ]
  return [
    ...files.problems,
    {
      ...assignment.origin,
      message: `${failure}: every nix command on this machine fails until this line is fixed`,
      isFatal: true,
    },
  ]
}

/** Returns the Nix system for Node's names of architecture and platform. */
const nixSystem = (arch: string, platform: string): string => {
  const names: Readonly<Record<string, string>> = {
    x64: 'x86_64',
    arm64: 'aarch64',
    ia32: 'i686',
    arm: 'armv7l',
    ppc64: 'powerpc64le',
  }
  return `${names[arch] ?? arch}-${platform}`
}
