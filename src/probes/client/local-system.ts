import { createSocket } from 'node:dgram'
import { constants } from 'node:fs'
import { access, open, readFile, realpath, stat, statfs } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { dirname } from 'node:path'
import systeminformation from 'systeminformation'
import { findDaemon, type DaemonProcess } from '../slots/process.ts'

/** Facts about this machine; replaced in tests. */
export interface LocalSystem {
  readonly uid: number
  /** Bytes; null if unknown. */
  memory(): Promise<{ readonly available: number; readonly total: number } | null>
  /** Bytes available to an unprivileged user on the filesystem of a path; null if the path does not exist. */
  space(
    path: string,
  ): Promise<{ readonly available: number; readonly total: number } | null>
  /** Whether there is a network address other than loopback. */
  hasNetwork(): boolean
  /** Whether the kernel has a route to an IP address. Sends nothing. */
  hasRoute(address: string): Promise<boolean>
  daemon(): Promise<DaemonProcess | null>
  /** Null if the path does not exist; an error code if it is not accessible. */
  stat(path: string): Promise<FileInfo | { readonly code: string } | null>
  canRead(path: string): Promise<boolean>
  canExecute(path: string): Promise<boolean>
  /** Whether we could write to a directory, or create it where it does not exist. */
  canWrite(path: string): Promise<boolean>
  readText(path: string): Promise<string | null>
  /** The first bytes of a regular file (256 by default), as Latin-1 text; null if it cannot be read. */
  readStart(path: string, maxBytes?: number): Promise<string | null>
  /** The path without symbolic links; null if it does not exist. */
  realPath(path: string): Promise<string | null>
}

export interface FileInfo {
  readonly mode: number
  readonly uid: number
  /** Unix seconds. */
  readonly mtime: number
  /** Unix seconds of the last change of content or name: a file that is moved here keeps its mtime. */
  readonly ctime: number
}

/** The kernel reads the interpreter from the first 256 bytes (execve(2)). */
const startBytes = 256

/** A longer script is not examined. */
export const maxScriptBytes = 64 * 1024

const readStart = async (path: string, maxBytes = startBytes): Promise<string | null> => {
  // Without O_NONBLOCK the open of a FIFO waits for a writer
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    () => null,
  )
  if (!file) return null
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes)
    return buffer.toString('latin1', 0, bytesRead)
  } catch {
    return null
  } finally {
    await file.close()
  }
}

/** This machine. The only user of systeminformation. */
export const localSystem: LocalSystem = {
  uid: process.getuid?.() ?? 0,
  memory: async () => {
    try {
      const { available, total } = await systeminformation.mem()
      return total > 0 ? { available, total } : null
    } catch {
      return null
    }
  },
  space: async path => {
    try {
      const { bavail, blocks, bsize } = await statfs(path)
      // Some filesystems report no size
      return blocks > 0 ? { available: bavail * bsize, total: blocks * bsize } : null
    } catch {
      return null
    }
  },
  hasNetwork: () =>
    Object.values(networkInterfaces()).some(addresses =>
      addresses?.some(({ internal }) => !internal),
    ),
  hasRoute: address => hasRoute(address),
  daemon: () => findDaemon(),
  stat: async path => {
    try {
      const { mode, uid, mtimeMs, ctimeMs } = await stat(path)
      return { mode, uid, mtime: mtimeMs / 1000, ctime: ctimeMs / 1000 }
    } catch (error) {
      const { code = 'EIO' } = error as NodeJS.ErrnoException
      return code === 'ENOENT' || code === 'ENOTDIR' ? null : { code }
    }
  },
  canRead: path => hasAccess(path, constants.R_OK),
  canExecute: path => hasAccess(path, constants.X_OK),
  canWrite: async path => {
    for (let at = path; ; at = dirname(at)) {
      const info = await stat(at).catch(() => null)
      if (info) return info.isDirectory() && hasAccess(at, constants.W_OK)
      if (at === dirname(at)) return false
    }
  },
  readText: path => readFile(path, 'utf8').catch(() => null),
  readStart,
  realPath: path => realpath(path).catch(() => null),
}

/** The port is not used: connecting a datagram socket only looks up the route. */
const discardPort = 9

const hasRoute = (address: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    // The callback gets the error of a lookup that failed; its declared type has no parameter
    const onConnected = (error?: Error): void => {
      socket.close()
      resolve(!error)
    }
    socket.on('error', () => undefined)
    socket.connect(discardPort, address, onConnected)
  })

const hasAccess = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  )
