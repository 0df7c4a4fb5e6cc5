import { join } from 'node:path'
import type { LocalSystem } from './local-system.ts'

const fileTypeMask = 0o170000
const regularFile = 0o100000
const anyExecute = 0o111

/**
 * Returns why root could not execute a program, as a predicate ("does not exist"); null if it can, as far as we can see.
 * The program is not run. Nix looks for it in no PATH and passes no arguments to it (derivation-building-goal.cc
 * runPostBuildHook), so a text with spaces is one path.
 */
export const explainNotExecutable = async (
  path: string,
  localSystem: LocalSystem,
): Promise<string | null> => {
  if (!path.startsWith('/')) return 'is not an absolute path'
  const info = await localSystem.stat(path)
  if (info === null)
    return /\s/.test(path)
      ? 'does not exist: the value is one path, without arguments'
      : 'does not exist'
  // Only root may look there
  if ('code' in info) return null
  if ((info.mode & fileTypeMask) !== regularFile) return 'is not a file'
  if ((info.mode & anyExecute) === 0) return 'is not executable'
  return explainInterpreter(await localSystem.readStart(path), localSystem)
}

/** Checks the first line of a script (execve(2)): a missing interpreter looks like a missing script. */
const explainInterpreter = async (
  start: string | null,
  localSystem: LocalSystem,
): Promise<string | null> => {
  if (!start?.startsWith('#!')) return null
  const [line = ''] = start.slice(2).split('\n', 1)
  if (line.endsWith('\r'))
    return 'has lines that end with CR LF, so its interpreter is not found'
  const [interpreter = '', program] = line.trim().split(/[ \t]/).filter(Boolean)
  if (!interpreter.startsWith('/')) return null
  if ((await localSystem.stat(interpreter)) === null)
    return `names the interpreter ${interpreter}, which does not exist`
  if (!interpreter.endsWith('/env') || program === undefined || !/^\w/.test(program))
    return null
  // The PATH of a service; that of a user has more
  const directories = ['/usr/local/bin', '/usr/bin', '/bin', '/run/current-system/sw/bin']
  const path = (await localSystem.daemon())?.path?.split(':').filter(Boolean)
  for (const directory of path ?? directories)
    if ((await localSystem.stat(join(directory, program))) !== null) return null
  return `names the interpreter ${program}, which is not in the PATH of nix-daemon`
}
