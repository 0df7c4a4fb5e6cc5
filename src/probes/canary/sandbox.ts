import { mkdir, mkdtemp, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProbeContext, RunResult } from '../../model/index.ts'
import { builtSeed, importedSeeds, type Seed } from './derivation.ts'

/** `private`: a temporary store, works for any user. `daemon`: through the local nix-daemon, as real builds. */
export type CanaryMode = 'private' | 'daemon'

/** Returns the input of the build for a system. */
export type SeedOf = (system: string) => Seed

/** A temporary directory for canary builds and the nix-build that runs in it. */
export interface CanarySandbox {
  readonly mode: CanaryMode
  /**
   * Creates the unsigned input paths of canaries by an import: building one in the private store would need user namespaces,
   * which hardened machines and services forbid, and no builtin creates a program. A daemon that trusts
   * our user accepts unsigned paths.
   */
  createSeed(
    nonce: string,
    systems: readonly string[],
  ): Promise<{ readonly seedOf: SeedOf } | { readonly failure: RunResult }>
  /** Runs nix-build on an expression; stderr is internal-json. */
  build(
    expression: string,
    args: readonly string[],
    signal: AbortSignal,
    onStderrLine?: (line: string) => void,
  ): Promise<RunResult>
  /** Reads the output: the line written by the shell, or the target of the builtin's symlink; null without one. */
  readOutput(stdout: string, by: 'shell' | 'builtin'): Promise<string | null>
  remove(): Promise<void>
}

export const createCanarySandbox = async (
  mode: CanaryMode,
  env: Readonly<Record<string, string | undefined>>,
  context: ProbeContext,
): Promise<CanarySandbox> => {
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-canary-'))
  await Promise.all(['home', 'tmp'].map(name => mkdir(join(directory, name))))
  const common = {
    env: { ...env, ...sandboxHome(env, directory), ...nixEnvironment(mode) },
    cwd: directory,
  }
  const build: CanarySandbox['build'] = (expression, args, signal, onStderrLine) =>
    context.run({
      ...common,
      signal,
      file: 'nix-build',
      args: [
        ...commonArgs,
        ...(mode === 'private' ? privateArgs(directory) : []),
        ...args,
        '-E',
        expression,
      ],
      ...(onStderrLine ? { onStderrLine } : {}),
    })
  return {
    mode,
    build,
    createSeed: async (nonce, systems) => {
      const imported = importedSeeds(nonce, systems)
      const result = await context.run({
        ...common,
        signal: context.signal,
        file: 'nix-store',
        args: ['--import', ...(mode === 'private' ? privateArgs(directory) : [])],
        stdin: imported.archive,
      })
      if (result.code === 0) return { seedOf: imported.seedOf }
      if (mode === 'private' || context.signal.aborted) return { failure: result }
      // A builtin cannot create a program, so the systems are not verified by one
      const built: Seed = { expression: builtSeed(nonce), isProgram: false }
      const here = await build(
        built.expression,
        ['--max-jobs', '1', '--builders', ''],
        context.signal,
      )
      return here.code === 0 ? { seedOf: () => built } : { failure: here }
    },
    readOutput: async (stdout, by) => {
      const path = stdout.trim().split('\n').at(-1) ?? ''
      if (!/^\/nix\/store\/[\w+.?=-]+$/.test(path)) return null
      const file = mode === 'private' ? join(directory, 'store', path) : path
      try {
        return by === 'shell'
          ? (await readFile(file, 'utf8')).trim().slice(0, 300)
          : await readlink(join(file, 'manifest.nix'))
      } catch {
        return null
      }
    },
    remove: () => remove(directory, context),
  }
}

const option = (name: string, value: string): string[] => ['--option', name, value]

const commonArgs = [
  '--no-out-link',
  // No cache has a canary: asking them costs time here and load there
  ...option('substitute', 'false'),
  // A user's hook would otherwise upload every canary
  ...option('post-build-hook', ''),
  // These forbid an expression on the command line
  ...option('pure-eval', 'false'),
  ...option('restrict-eval', 'false'),
  ...['--log-format', 'internal-json', '-v'],
]

/** Settings of the user that do not apply to the private store. All others do (docs/canary.md). */
const privateArgs = (directory: string): string[] => [
  ...['--store', join(directory, 'store')],
  ...option('sandbox', 'false'),
  ...option('build-users-group', ''),
  ...option('builders-use-substitutes', 'false'),
  // A collection would delete the input
  ...option('min-free', '0'),
  ...option('secret-key-files', ''),
]

/** Limits of the order of the hard deadline: a real build has none. */
const sshOptions =
  '-oBatchMode=yes -oConnectTimeout=60 -oServerAliveInterval=15 -oServerAliveCountMax=4'

/** Own directories: a failed connection leaves nix-PID directories behind, and HOME can belong to another user. */
const sandboxHome = (
  env: Readonly<Record<string, string | undefined>>,
  directory: string,
) => ({
  HOME: join(directory, 'home'),
  TMPDIR: join(directory, 'tmp'),
  NIX_SSHOPTS: [env['NIX_SSHOPTS'], sshOptions].filter(Boolean).join(' '),
})

/** Both use the settings of the user, as real builds do; the store of a private canary is its own. */
const nixEnvironment = (mode: CanaryMode) =>
  mode === 'daemon'
    ? { NIX_REMOTE: 'daemon' }
    : {
        NIX_REMOTE: undefined,
        NIX_STATE_DIR: undefined,
        NIX_STORE_DIR: undefined,
        NIX_LOG_DIR: undefined,
      }

/** Removes a directory; read-only store paths need write permission first. */
const remove = async (directory: string, { run }: ProbeContext): Promise<void> => {
  const args = ['-R', 'u+w', directory]
  await run({ file: 'chmod', args, signal: new AbortController().signal, maxBytes: 1024 })
  await rm(directory, { recursive: true, force: true })
}
