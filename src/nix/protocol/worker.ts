import { encodeDerivation, readBuildResult, type BuildResult } from './build.ts'
import { sanitize } from '../../text/sanitize.ts'
import {
  formatVersion,
  startSession,
  type ProtocolSession,
  type Pipe,
} from './session.ts'
import type { Derivation } from './derivation.ts'
import { createLogTail, readStderr } from './worker-stderr.ts'
import { NixError, UnsupportedVersionError } from './errors.ts'
import type { WireOptions } from './wire.ts'
import { concat, list, text, word } from './wire-writer.ts'

export const workerMagic = { client: 0x6e697863n, server: 0x6478696fn } as const

/**
 * 1.35: the only version that both new Lix (1.35 and above) and every upstream Nix accept, and the first that reports
 * whether we are trusted. Newer versions have feature negotiation and other layouts.
 */
export const workerVersion = 0x123
/** Nix 2.0; older versions have other layouts. */
const oldestWorkerVersion = 0x114

export const workerOps = { isValidPath: 1, buildPaths: 9, buildDerivation: 36 } as const

const repairMode = 1

/** An open session with `nix-daemon --stdio`. One request at a time. Rejects as WireReader does, and with NixError. */
export interface Worker {
  /** Negotiated version: at most `1.35`. */
  readonly version: string
  /** Nix version of the remote, null below 1.33. */
  readonly nixVersion: string | null
  /** Null if not reported: below 1.35, or behind a proxy that does not know. */
  readonly trusted: boolean | null
  /** Opens the remote store, which the handshake alone does not. */
  isValidPath(path: string): Promise<boolean>
  /**
   * Determines trust with any version by a repair of zero paths. After `false` some remotes close the connection, so it
   * must be the last request.
   */
  isTrusted(): Promise<boolean>
  /** Builds a derivation without inputs; a failed build is a result, a rejected one a NixError. */
  buildDerivation(drv: Derivation): Promise<BuildResult>
  /** Returns the last part of the remote's log, sanitized and bounded. */
  log(): string
}

/** Performs the handshake with a worker. Throws ProtocolError, UnexpectedEofError, UnsupportedVersionError, NixError or the signal's reason. */
export const openWorker = async (pipe: Pipe, options: WireOptions): Promise<Worker> => {
  const session = startSession(pipe, options)
  const negotiated = await handshake(session)
  const log = createLogTail()
  const minor = negotiated.version & 255
  const request = async (op: number, ...payload: readonly Buffer[]): Promise<void> => {
    session.send(word(op), ...payload)
    await readStderr(session.reader, minor, log)
  }
  await readStderr(session.reader, minor, log)

  return {
    version: formatVersion(negotiated.version),
    nixVersion: negotiated.nixVersion,
    trusted: negotiated.trusted,
    isValidPath: async path => {
      await request(workerOps.isValidPath, text(path))
      return session.reader.bool('validity')
    },
    isTrusted: async () => {
      try {
        await request(workerOps.buildPaths, list([]), word(repairMode))
        await session.reader.number('build reply')
        return true
      } catch (error) {
        if (
          error instanceof NixError &&
          error.message.includes('repairing is not allowed')
        )
          return false
        throw error
      }
    },
    buildDerivation: async drv => {
      await request(workerOps.buildDerivation, encodeDerivation(drv), word(0))
      return readBuildResult(session.reader, { times: minor >= 29, outputs: minor >= 28 })
    },
    log: () => log.read(),
  }
}

interface HandshakeResult {
  readonly version: number
  readonly nixVersion: string | null
  readonly trusted: boolean | null
}

const handshake = async ({
  reader,
  send,
  endWrite,
}: ProtocolSession): Promise<HandshakeResult> => {
  send(word(workerMagic.client), word(workerVersion))
  await reader.magic(workerMagic.server, 'the worker protocol', endWrite)
  const remoteVersion = await reader.number('protocol version')
  if (remoteVersion >> 8 !== 1 || remoteVersion < oldestWorkerVersion)
    throw new UnsupportedVersionError('worker', formatVersion(remoteVersion))
  const version = Math.min(remoteVersion, workerVersion)
  const minor = version & 255
  const noAffinity = word(0)
  const noReserve = word(0)
  send(concat(noAffinity, noReserve))
  const nixVersion = minor >= 33 ? sanitize(await reader.text('Nix version'), 60) : null
  const trusted = minor >= 35 ? readTrust(await reader.number('trust flag', 2)) : null
  return { version, nixVersion, trusted }
}

const readTrust = (flag: number): boolean | null => (flag === 0 ? null : flag === 1)
