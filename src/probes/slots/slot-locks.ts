import { open, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { mainLock, parseSlotFile } from '../../nix/machines/lock-names.ts'
import { findBuildHook, startTime, type BuildHookProcess } from './process.ts'
import { formatDevice, findMountDevice, parseLocks, type FileLock } from './file-locks.ts'

/** Nix's slot locks at one moment, read without taking a lock. */
export interface SlotLocks {
  readonly directory: string
  /** False if locks of processes outside our PID namespace are hidden (in a container). */
  readonly seesAllNamespaces: boolean
  /** Slots and their files by the machine part of the file name. */
  readonly slots: ReadonlyMap<string, readonly { slot: number; file: string }[]>
  /** Flocks on the filesystem of the directory. */
  readonly locks: readonly FileLock[]
  /** The process that chooses a machine now; it holds slots only for that moment. */
  readonly schedulerPid: number | null
  /** Reads inodes and times of these files; missing files are omitted. */
  readonly stat: (names: readonly string[]) => Promise<ReadonlyMap<string, LockFile>>
  /** Unix time at which a process started; null if unknown. */
  readonly getStartTime: (pid: number) => Promise<number | null>
  /** Reads a build hook; null if unknown. */
  readonly findBuildHook: (pid: number) => Promise<BuildHookProcess | null>
}

export interface LockFile {
  /** `major:minor:inode` in each form that /proc/locks can use. */
  readonly files: readonly string[]
  /** Unix seconds; Nix sets it when it takes the lock. */
  readonly mtime: number
}

export type ReadSlotLocks = () => Promise<SlotLocks | { readonly unreadable: string }>

export interface SlotLocksDeps {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Mount point of proc. */
  readonly proc?: string
  /** Milliseconds for which all builders share one reading. */
  readonly cacheMs?: number
  readonly monotonic: () => number
}

const maxBytes = 8 * 1024 * 1024
/** `/proc/self/ns/pid` of the first namespace (include/linux/proc_ns.h PROC_PID_INIT_INO). */
const firstNamespace = 'pid:[4026531836]'

/** Creates a reader of /proc/locks and the names in `current-load` with a cache of `cacheMs`. */
export const createReadSlotLocks = (deps: SlotLocksDeps): ReadSlotLocks => {
  const { cacheMs = 1000 } = deps
  let cached: { readonly at: number; readonly answer: ReturnType<ReadSlotLocks> } | null =
    null
  return () => {
    const now = deps.monotonic()
    if (cached && now - cached.at < cacheMs) return cached.answer
    cached = { at: now, answer: read(deps) }
    return cached.answer
  }
}

const read = async ({
  env,
  proc = '/proc',
}: SlotLocksDeps): ReturnType<ReadSlotLocks> => {
  const configuredPath = join(env['NIX_STATE_DIR'] || '/nix/var/nix', 'current-load')
  const text = await readText(join(proc, 'locks'))
  if (text === null) return { unreadable: `there is no ${join(proc, 'locks')}` }
  const seesAllNamespaces =
    (await readlink(join(proc, 'self/ns/pid')).catch(() => firstNamespace)) ===
    firstNamespace
  const getStartTime = (pid: number) => startTime(proc, pid)
  const directory = await realpath(configuredPath).catch(() => configuredPath)
  let names: readonly string[]
  let devices: readonly string[]
  try {
    names = await readdir(directory)
    const mounts = (await readText(join(proc, 'self/mountinfo'))) ?? ''
    const { dev } = await stat(directory, { bigint: true })
    devices = [
      ...new Set([formatDevice(dev), findMountDevice(mounts, directory) ?? []].flat()),
    ]
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (code !== 'ENOENT') return { unreadable: `${directory} cannot be read (${code})` }
    // Nix creates the directory with the first remote build
    names = devices = []
  }
  const locks = parseLocks(text).filter(({ file }) =>
    devices.some(device => file.startsWith(`${device}:`)),
  )
  const statAll = (wanted: readonly string[]) =>
    locks.length === 0
      ? Promise.resolve(new Map<string, LockFile>())
      : statFiles(directory, wanted, devices)
  const main = names.includes(mainLock) ? (await statAll([mainLock])).get(mainLock) : null
  const schedulerPid = locks.find(
    ({ file, isWaiting }) => !isWaiting && main?.files.includes(file),
  )
  return {
    directory,
    seesAllNamespaces,
    slots: slotsByMachine(names),
    locks,
    schedulerPid: schedulerPid?.pid ?? null,
    stat: statAll,
    getStartTime,
    findBuildHook: pid => findBuildHook(pid, proc),
  }
}

const slotsByMachine = (names: readonly string[]): SlotLocks['slots'] => {
  const slots = new Map<string, { slot: number; file: string }[]>()
  for (const file of names) {
    const parsed = parseSlotFile(file)
    if (!parsed) continue
    const machineSlots = slots.get(parsed.machine)
    if (machineSlots) machineSlots.push({ slot: parsed.slot, file })
    else slots.set(parsed.machine, [{ slot: parsed.slot, file }])
  }
  return slots
}

const statFiles = async (
  directory: string,
  names: readonly string[],
  devices: readonly string[],
): Promise<ReadonlyMap<string, LockFile>> => {
  const parsed = await Promise.all(
    names.map(async (name): Promise<(readonly [string, LockFile])[]> => {
      try {
        const { ino, mtimeMs } = await stat(join(directory, name), { bigint: true })
        const files = devices.map(device => `${device}:${ino}`)
        return [[name, { files, mtime: Number(mtimeMs) / 1000 }]]
      } catch {
        return []
      }
    }),
  )
  return new Map(parsed.flat())
}

/** Reads a file of /proc, whose size is not known in advance; null if it cannot be read. */
const readText = async (path: string): Promise<string | null> => {
  try {
    const file = await open(path)
    try {
      const chunks: Buffer[] = []
      let size = 0
      for (;;) {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(65_536), 0, 65_536)
        if (bytesRead === 0 || size > maxBytes) break
        size += bytesRead
        chunks.push(buffer.subarray(0, bytesRead))
      }
      return Buffer.concat(chunks).toString('utf8')
    } finally {
      await file.close()
    }
  } catch {
    return null
  }
}
