import { mkdir, mkdtemp, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProbeContext, RunResult } from '../../model/index.ts'
import { builtSeed, importedSeed } from './derivation.ts'

/** `private`: a store of our own, any user. `daemon`: through the local nix-daemon, the identity of real builds. */
export type CanaryMode = 'private' | 'daemon'

/** Where canaries are made: a directory of their own that is gone afterwards, and the nix-build that works in it. */
export interface CanarySandbox {
  readonly mode: CanaryMode
  /**
   * Makes the unsigned path that canaries need, and gives its expression. The private store imports it: building there
   * would need user namespaces, which hardened machines and services refuse.
   */
  createSeed(
    nonce: string,
  ): Promise<{ readonly expression: string } | { readonly failure: RunResult }>
  /** Runs nix-build on an expression; stderr is internal-json. */
  build(
    expression: string,
    args: readonly string[],
    onStderrLine?: (line: string) => void,
  ): Promise<RunResult>
  /** What the output says: the line that a shell wrote, or where the builtin's symlink points; null without one. */
  readOutput(stdout: string, by: 'shell' | 'builtin'): Promise<string | null>
  remove(): Promise<void>
}

export const createCanarySandbox = async (
  mode: CanaryMode,
  env: Readonly<Record<string, string | undefined>>,
  context: ProbeContext,
): Promise<CanarySandbox> => {
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-canary-'))
  await Promise.all(['home', 'tmp', 'conf'].map(name => mkdir(join(directory, name))))
  const common = {
    env: { ...env, ...sandboxHome(env, directory), ...nixEnvironment(mode, directory) },
    cwd: directory,
    signal: context.signal,
  }
  const build: CanarySandbox['build'] = (expression, args, onStderrLine) =>
    context.run({
      ...common,
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
    createSeed: async nonce => {
      const built = builtSeed(nonce)
      const imported = importedSeed(nonce)
      const result =
        mode === 'daemon'
          ? await build(built, ['--max-jobs', '1', '--builders', ''])
          : await context.run({
              ...common,
              file: 'nix-store',
              args: ['--import', ...privateArgs(directory)],
              stdin: imported.archive,
            })
      return result.code === 0
        ? { expression: mode === 'daemon' ? built : imported.expression }
        : { failure: result }
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

const commonArgs = [
  '--no-out-link',
  ...['--option', 'substitute', 'false'],
  // A user's hook would upload every canary
  ...['--option', 'post-build-hook', ''],
  ...['--log-format', 'internal-json', '-v'],
]

const privateArgs = (directory: string): string[] => [
  ...['--store', join(directory, 'store')],
  ...['--option', 'sandbox', 'false'],
  ...['--option', 'build-users-group', ''],
]

const sshOptions =
  '-oBatchMode=yes -oConnectTimeout=5 -oServerAliveInterval=5 -oServerAliveCountMax=3'

/** Its own: a failed connection leaves nix-PID directories behind, and HOME may not be ours. */
const sandboxHome = (
  env: Readonly<Record<string, string | undefined>>,
  directory: string,
) => ({
  HOME: join(directory, 'home'),
  TMPDIR: join(directory, 'tmp'),
  NIX_SSHOPTS: [env['NIX_SSHOPTS'], sshOptions].filter(Boolean).join(' '),
})

/** A private canary must not depend on what this machine's nix.conf says; the daemon's does on purpose. */
const nixEnvironment = (mode: CanaryMode, directory: string) =>
  mode === 'daemon'
    ? { NIX_REMOTE: 'daemon' }
    : {
        NIX_CONF_DIR: join(directory, 'conf'),
        NIX_USER_CONF_FILES: '',
        NIX_CONFIG: undefined,
        NIX_REMOTE: undefined,
        NIX_STATE_DIR: undefined,
        NIX_STORE_DIR: undefined,
      }

/** Store paths are read-only directories: without write permission rm cannot empty them. */
const remove = async (directory: string, { run }: ProbeContext): Promise<void> => {
  const args = ['-R', 'u+w', directory]
  await run({ file: 'chmod', args, signal: new AbortController().signal, maxBytes: 1024 })
  await rm(directory, { recursive: true, force: true })
}
