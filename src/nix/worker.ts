import { encodeDerivation, readBuildResult, type BuildResult } from './build.ts'
import { cleanText } from './clean.ts'
import {
  formatVersion,
  startConversation,
  type Conversation,
  type Pipe,
} from './conversation.ts'
import type { Derivation } from './derivation.ts'
import { createLogTail, readStderr } from './stderr.ts'
import { NixError, WireVersionError } from './wire-error.ts'
import type { WireOptions } from './wire.ts'
import { concat, list, text, word } from './wire-writer.ts'

export const workerMagic = { client: 0x6e697863n, server: 0x6478696fn } as const

/**
 * 1.35: the only version that new Lix (1.35 and above) and every upstream Nix take, and the first that tells whether
 * we are trusted. Above it follow features and other layouts.
 */
export const workerVersion = 0x123
/** Nix 2.0; older ones have other layouts. */
const oldestWorkerVersion = 0x114

export const workerOps = { isValidPath: 1, buildPaths: 9, buildDerivation: 36 } as const

const repairMode = 1

/** A greeted `nix-daemon --stdio`. One question at a time. Rejections are those of WireReader, and NixError. */
export interface Worker {
  /** Negotiated: `1.35`, or what an older remote speaks. */
  readonly version: string
  /** Nix version of the remote, null below 1.33. */
  readonly nixVersion: string | null
  /** Null where the remote does not tell: below 1.35, or a proxy in the middle that does not know. */
  readonly trusted: boolean | null
  /** Opens the store of the remote, which the greeting alone does not. */
  isValidPath(path: string): Promise<boolean>
  /**
   * Learns trust from any version by asking to repair nothing. After `false` some remotes hang up, so nothing may be
   * asked after it.
   */
  isTrusted(): Promise<boolean>
  /** Builds without inputs; a failed build is a result, a refused one a NixError. */
  buildDerivation(drv: Derivation): Promise<BuildResult>
  /** The end of what the remote logged so far, cleaned and bounded. */
  log(): string
}

/** Greets a worker. Throws WireError, WireEnd, WireVersionError, NixError or the signal's reason. */
export const openWorker = async (pipe: Pipe, options: WireOptions): Promise<Worker> => {
  const talk = startConversation(pipe, options)
  const greeting = await greet(talk)
  const log = createLogTail()
  const minor = greeting.version & 255
  const ask = async (op: number, ...request: readonly Buffer[]): Promise<void> => {
    talk.send(word(op), ...request)
    await readStderr(talk.reader, minor, log)
  }
  await readStderr(talk.reader, minor, log)

  return {
    version: formatVersion(greeting.version),
    nixVersion: greeting.nixVersion,
    trusted: greeting.trusted,
    isValidPath: async path => {
      await ask(workerOps.isValidPath, text(path))
      return talk.reader.bool('validity')
    },
    isTrusted: async () => {
      try {
        await ask(workerOps.buildPaths, list([]), word(repairMode))
        await talk.reader.number('build reply')
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
      await ask(workerOps.buildDerivation, encodeDerivation(drv), word(0))
      return readBuildResult(talk.reader, { times: minor >= 29, outputs: minor >= 28 })
    },
    log: () => log.read(),
  }
}

interface Greeting {
  readonly version: number
  readonly nixVersion: string | null
  readonly trusted: boolean | null
}

const greet = async ({ reader, send, leave }: Conversation): Promise<Greeting> => {
  send(word(workerMagic.client), word(workerVersion))
  await reader.magic(workerMagic.server, 'the worker protocol', leave)
  const theirs = await reader.number('protocol version')
  if (theirs >> 8 !== 1 || theirs < oldestWorkerVersion)
    throw new WireVersionError('worker', formatVersion(theirs))
  const version = Math.min(theirs, workerVersion)
  const minor = version & 255
  const noAffinity = word(0)
  const noReserve = word(0)
  send(concat(noAffinity, noReserve))
  const nixVersion = minor >= 33 ? cleanText(await reader.text('Nix version'), 60) : null
  const trusted = minor >= 35 ? readTrust(await reader.number('trust flag', 2)) : null
  return { version, nixVersion, trusted }
}

const readTrust = (flag: number): boolean | null => (flag === 0 ? null : flag === 1)
