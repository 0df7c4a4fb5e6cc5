import type { ActiveBuilders, LocalSetting, Problem, Run } from '../model.ts'
import { flavourOf } from '../nix/flavour.ts'
import { nameBuilders } from '../nix/names.ts'
import { stringSetting, type Settings } from '../nix/settings.ts'
import { withoutSecrets } from '../nix/without-secrets.ts'
import { askNix } from './ask-nix.ts'
import { readMachines } from './machine-files.ts'
import {
  defaultBuilders,
  readNixFiles,
  type Assigned,
  type Env,
  type NixFiles,
} from './nix-files.ts'
import { capProblems, createTextSource, type ReadFile } from './text-source.ts'

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
  const answer = await askNix({ run, nix, env, signal })
  const flavour = flavourOf(answer.version)
  const source = createTextSource(deps.readFile)
  const files = await readNixFiles(source, env, flavour)
  const told = answer.settings && stringSetting(answer.settings, 'builders')
  const written = files.settings.get('builders') ?? defaultBuilders(env, flavour)
  const builders = told === null ? written : withOrigin(told, written)
  const system =
    (answer.settings && stringSetting(answer.settings, 'system')) ??
    files.settings.get('system')?.value ??
    systemOf(deps.arch, deps.platform)
  const expanded = await readMachines(builders, source, flavour, system)
  return {
    source: told === null ? 'files' : 'nix',
    builders: nameBuilders(expanded.machines),
    problems: capProblems([
      // what Nix could read is no problem, whatever we think of it
      ...(told === null ? configProblems(files, answer.failure) : []),
      ...expanded.problems,
    ]),
    files: [...source.files],
    nix: {
      version: answer.version,
      system,
      settings: localSettings(answer.settings, files),
      configFiles: files.system,
      traps: expanded.traps,
    },
  }
}

/** Nix tells a value without its place; it is the one that we found if it says the same. */
const withOrigin = (told: string, written: Assigned): Assigned =>
  told === written.value
    ? written
    : { value: told, origin: { file: 'builders setting', line: 1 } }

/** What findings and checks need of the local Nix. */
const wanted = [
  'builders',
  'builders-use-substitutes',
  'max-jobs',
  'min-free',
  'max-free',
]

/** As written where that is what holds, else as Nix told it. */
const localSettings = (
  told: Settings | null,
  { settings }: NixFiles,
): Readonly<Record<string, LocalSetting>> => {
  const found = new Map<string, LocalSetting>()
  for (const name of wanted) {
    const value = told?.get(name)
    const written = settings.get(name)
    if (written) found.set(name, { ...written, value: withoutSecrets(written.value) })
    else if (['string', 'number', 'boolean', 'bigint'].includes(typeof value))
      found.set(name, { value: withoutSecrets(String(value)), origin: null })
  }
  return Object.fromEntries(found)
}

const configProblems = (files: NixFiles, failure: string | null): readonly Problem[] => {
  if (failure === null || files.problems.some(problem => problem.stopsBuilds))
    return files.problems
  const name = /setting '([^']+)'/.exec(failure)?.[1]
  const guilty = name === undefined ? undefined : files.settings.get(name)
  if (!guilty)
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
      ...guilty.origin,
      message: `${failure}: every nix command on this machine fails until this line is mended`,
      stopsBuilds: true,
    },
  ]
}

/** The `system` that Nix is compiled for, as Node names the machine. */
const systemOf = (arch: string, platform: string): string => {
  const names: Readonly<Record<string, string>> = {
    x64: 'x86_64',
    arm64: 'aarch64',
    ia32: 'i686',
    arm: 'armv7l',
    ppc64: 'powerpc64le',
  }
  return `${names[arch] ?? arch}-${platform}`
}
