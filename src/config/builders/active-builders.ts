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
  /** The environment that Nix would have; its variables mean what they mean to Nix. */
  readonly env: Env
  /** `process.arch` and `process.platform`: they tell the system where Nix does not. */
  readonly arch: string
  readonly platform: string
  /** The nix program; `nix` by default. */
  readonly nix?: string
  readonly signal: AbortSignal
}

/**
 * The builders that this Nix would use: Nix is asked for its settings, and its files are read instead where there is
 * no nix or where it fails. Never rejects; what is wrong comes back as problems.
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
      // what Nix could read is no problem, whatever we think of it
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

/** Nix tells a value without its place; it is the one that we found if it says the same. */
const withOrigin = (
  reported: string,
  configured: SettingAssignment,
): SettingAssignment =>
  reported === configured.value
    ? configured
    : { value: reported, origin: { file: 'builders setting', line: 1 } }

/** What findings and checks need of the local Nix. */
const usedSettings = [
  'builders',
  'builders-use-substitutes',
  'max-jobs',
  'min-free',
  'max-free',
]

/** As written where that is what holds, else as Nix told it. */
const localSettings = (
  reported: Settings | null,
  { settings }: NixFiles,
): Readonly<Record<string, LocalSetting>> => {
  const values = new Map<string, LocalSetting>()
  for (const name of usedSettings) {
    const value = reported?.get(name)
    const configured = settings.get(name)
    if (configured)
      values.set(name, { ...configured, value: redactSecrets(configured.value) })
    else if (['string', 'number', 'boolean', 'bigint'].includes(typeof value))
      values.set(name, { value: redactSecrets(String(value)), origin: null })
  }
  return Object.fromEntries(values)
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
        message: `Nix does not tell its settings (${failure}), so its files were read instead`,
      },
    ]
  return [
    ...files.problems,
    {
      ...assignment.origin,
      message: `${failure}: every nix command on this machine fails until this line is mended`,
      isFatal: true,
    },
  ]
}

/** The `system` that Nix is compiled for, as Node names the machine. */
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
