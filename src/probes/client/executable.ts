import { join } from 'node:path'
import { maxScriptBytes, type LocalSystem } from './local-system.ts'

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
  return (
    (await explainInterpreter(await localSystem.readStart(path), localSystem)) ??
    (await explainBinary(path, localSystem)) ??
    (await explainMount(path, localSystem))
  )
}

/** e_machine of the ELF headers (elf(5)) that a machine executes, by process.arch. */
const machines: Readonly<Record<string, readonly number[]>> = {
  x64: [0x3e, 0x03],
  arm64: [0xb7, 0x28],
}
const elfClass64 = 2
const littleEndian = 1
const programInterpreter = 3

/** Returns why the kernel cannot execute a binary: another architecture, or its loader does not exist. */
const explainBinary = async (
  path: string,
  localSystem: LocalSystem,
): Promise<string | null> => {
  const text = await localSystem.readStart(path, maxScriptBytes)
  const file = Buffer.from(text ?? '', 'latin1')
  const headerBytes = 64
  if (!text?.startsWith('\x7fELF') || file.length < headerBytes) return null
  if (file[5] !== littleEndian) return null
  const accepted = machines[process.arch]
  if (accepted && !accepted.includes(file.readUInt16LE(18)))
    return (await hasEmulator(localSystem))
      ? null
      : 'is a program for another architecture (Exec format error)'
  const loader = loaderOf(file)
  return loader !== null && (await localSystem.stat(loader)) === null
    ? `needs the loader ${loader}, which does not exist`
    : null
}

/** Whether binfmt_misc has any entry; which programs they accept is not examined. */
const hasEmulator = async (localSystem: LocalSystem): Promise<boolean> =>
  (await localSystem.stat('/proc/sys/fs/binfmt_misc/status')) !== null

/** Returns the loader of a dynamic executable (PT_INTERP); null if there is none, or it is not in this part of the file. */
const loaderOf = (file: Buffer): string | null => {
  const is64 = file[4] === elfClass64
  const start = is64 ? Number(file.readBigUInt64LE(32)) : file.readUInt32LE(28)
  const size = file.readUInt16LE(is64 ? 54 : 42)
  const count = file.readUInt16LE(is64 ? 56 : 44)
  const smallest = is64 ? 56 : 32
  if (size < smallest) return null
  for (let i = 0; i < count && start + (i + 1) * size <= file.length; i++) {
    const at = start + i * size
    if (file.readUInt32LE(at) !== programInterpreter) continue
    const offset = is64 ? Number(file.readBigUInt64LE(at + 8)) : file.readUInt32LE(at + 4)
    const length = is64
      ? Number(file.readBigUInt64LE(at + 32))
      : file.readUInt32LE(at + 16)
    const loader = file.toString('latin1', offset, offset + length).split('\0', 1)[0]!
    return loader.startsWith('/') ? loader : null
  }
  return null
}

/**
 * Returns whether the filesystem of a program forbids its execution (proc_pid_mounts(5)). Builds of root run the hook
 * themselves and those of others in nix-daemon, which can have other mounts.
 */
const explainMount = async (
  path: string,
  localSystem: LocalSystem,
): Promise<string | null> => {
  const real = await localSystem.realPath(path)
  const daemon = await localSystem.daemon()
  for (const process of [...(daemon ? [daemon.pid] : []), 'self']) {
    const mounts = await localSystem.readText(`/proc/${process}/mounts`)
    const point = real === null ? null : findNoexec(real, mounts ?? '')
    if (point !== null) return `is on ${point}, which is mounted with noexec`
  }
  return null
}

/** Returns the mount point of a path if it has the option noexec. */
const findNoexec = (path: string, mounts: string): string | null => {
  let found = { point: '', options: '' }
  for (const line of mounts.split('\n')) {
    const [, point = '', , options = ''] = line.split(' ')
    const isAbove = path.startsWith(point === '/' ? '/' : `${point}/`)
    // A later mount covers an earlier one
    if (point && isAbove && point.length >= found.point.length) found = { point, options }
  }
  return found.options.split(',').includes('noexec') ? found.point : null
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
