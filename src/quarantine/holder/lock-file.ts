import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:fs'
import { lstat, mkdir, open, stat, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

/** A lock that this process holds. The kernel frees it when the process ends, whatever the reason. */
export interface HeldLock {
  /** Whether the file is still the one that Nix would open under this name. */
  isCurrent(): Promise<boolean>
  release(): Promise<void>
}

/** The lock of a file that could not be taken. `reason` is for people. */
export class LockError extends Error {}

/** A program that locks its file descriptor 3 with flock(2), exclusively, and then exits: 0 locked, 1 in use. */
export interface LockProgram {
  readonly file: string
  readonly args: (waits: boolean) => readonly string[]
}

/** flock(1) of util-linux. */
export const flockProgram: LockProgram = {
  file: 'flock',
  args: waits => (waits ? ['-x', '3'] : ['-x', '-n', '3']),
}

/** Perl, which macOS has, and which has flock(2) built in. */
export const perlProgram: LockProgram = {
  file: 'perl',
  args: waits => [
    '-MFcntl=:flock',
    '-e',
    `open(my $f, '>&=', 3) or exit 2; exit(flock($f, ${waits ? 'LOCK_EX' : 'LOCK_EX | LOCK_NB'}) ? 0 : 1)`,
  ],
}

/**
 * Locks a slot file as Nix's build hook does (build-remote.cc openSlotLock: flock of a file that is created with mode 0600).
 * The lock belongs to the open file description (flock(2)): a child locks the inherited descriptor and exits, and the lock
 * stays with this process. Waits for a lock in use, after `onWaiting`. Rejects with LockError, or when the signal fires.
 */
export const lockSlotFile = async (
  directory: string,
  name: string,
  program: LockProgram,
  signal: AbortSignal,
  onWaiting: () => void,
): Promise<HeldLock> => {
  const path = join(directory, name)
  const file = await openLockFile(directory, path)
  try {
    if (!(await runLocker(file, program, false, signal))) {
      onWaiting()
      if (!(await runLocker(file, program, true, signal)))
        throw new LockError(`${program.file} could not lock ${path}`)
    }
    signal.throwIfAborted()
  } catch (error) {
    await file.close()
    throw error
  }
  return {
    isCurrent: async () => {
      const [mine, current] = await Promise.all([
        file.stat(),
        stat(path).catch(() => null),
      ])
      return current?.ino === mine.ino && current.dev === mine.dev
    },
    release: () => file.close(),
  }
}

const openLockFile = async (directory: string, path: string): Promise<FileHandle> => {
  // As a build hook does (build-remote.cc: createDirs)
  await mkdir(directory, 0o755).catch(() => undefined)
  const found = await lstat(directory).catch((error: NodeJS.ErrnoException) => {
    throw new LockError(`${directory} cannot be read (${error.code})`)
  })
  if (!found.isDirectory()) throw new LockError(`${directory} is not a directory`)
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  const file = await open(path, flags | constants.O_NONBLOCK, 0o600).catch(
    (error: NodeJS.ErrnoException) => {
      const reason =
        error.code === 'ELOOP' ? 'is a symbolic link' : `cannot be opened (${error.code})`
      throw new LockError(`${path} ${reason}`)
    },
  )
  const opened = await file.stat()
  const uid = process.geteuid?.() ?? opened.uid
  if (opened.isFile() && opened.uid === uid) return file
  await file.close()
  throw new LockError(
    opened.isFile()
      ? `${path} belongs to user ${opened.uid} instead of ${uid}`
      : `${path} is not a regular file`,
  )
}

/** Returns whether the lock was taken. */
const runLocker = (
  file: FileHandle,
  program: LockProgram,
  waits: boolean,
  signal: AbortSignal,
): Promise<boolean> =>
  new Promise((resolve, reject) => {
    let child: ChildProcess
    const onAbort = () => child.kill('SIGKILL')
    try {
      child = spawn(program.file, program.args(waits), {
        stdio: ['ignore', 'ignore', 'ignore', file.fd],
      })
    } catch (error) {
      reject(new LockError(`${program.file} cannot be started: ${String(error)}`))
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    child.on('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', onAbort)
      reject(new LockError(`${program.file} cannot be started (${error.code})`))
    })
    child.on('exit', code => {
      signal.removeEventListener('abort', onAbort)
      if (code === 0 || code === 1) resolve(code === 0)
      else if (signal.aborted) reject(signal.reason as Error)
      else reject(new LockError(`${program.file} ended with ${code ?? 'a signal'}`))
    })
  })
