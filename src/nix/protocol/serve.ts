import { encodeDerivation, readBuildResult, type BuildResult } from './build.ts'
import { formatVersion, startSession, type Pipe } from './session.ts'
import type { Derivation } from './derivation.ts'
import { UnsupportedVersionError } from './errors.ts'
import type { WireOptions } from './wire.ts'
import { list, text, word } from './wire-writer.ts'

export const serveMagic = { client: 0x390c9debn, server: 0x5452eecbn } as const

/** 2.7: below 2.6 the servers of Nix 2.4 to 2.10 send a field too much, above it nothing is of use to us. */
export const serveVersion = 0x207
/** Nix 2.3; new Nix clients refuse older ones too. */
const oldestServeVersion = 0x205

export const serveCommands = { queryValidPaths: 1, buildDerivation: 8 } as const

/** Limits that the remote itself applies to a build, in seconds; 0 is none. */
export interface ServeBuildOptions {
  readonly maxSilentSeconds: number
  readonly timeoutSeconds: number
  /** Bytes of build log, which goes to the remote's stderr. */
  readonly maxLogBytes: number
}

/**
 * A greeted `nix-store --serve --write`. One question at a time. This protocol has no errors: a remote that fails
 * writes them to its stderr and ends, which is UnexpectedEofError here.
 */
export interface Serve {
  /** Negotiated: `2.7`, or what an older remote speaks. */
  readonly version: string
  /** Which of the paths are valid. One path is enough to have the store opened, an empty list is not. */
  queryValidPaths(paths: readonly string[]): Promise<readonly string[]>
  buildDerivation(drv: Derivation, options: ServeBuildOptions): Promise<BuildResult>
}

/** Greets a serve process. Throws ProtocolError, UnexpectedEofError, UnsupportedVersionError or the signal's reason. */
export const openServe = async (pipe: Pipe, options: WireOptions): Promise<Serve> => {
  const { reader, send, endWrite } = startSession(pipe, options)
  send(word(serveMagic.client), word(serveVersion))
  await reader.magic(serveMagic.server, 'the serve protocol', endWrite)
  const remoteVersion = await reader.number('protocol version')
  if (remoteVersion >> 8 !== 2 || remoteVersion < oldestServeVersion)
    throw new UnsupportedVersionError('serve', formatVersion(remoteVersion))
  const version = Math.min(remoteVersion, serveVersion)

  return {
    version: formatVersion(version),
    queryValidPaths: async paths => {
      const lock = word(0)
      const substitute = word(0)
      const set = list([...paths].sort().map(text))
      send(word(serveCommands.queryValidPaths), lock, substitute, set)
      return reader.list('valid paths', () => reader.text('valid path'))
    },
    buildDerivation: async (drv, limits) => {
      const repeats = word(0)
      const enforceDeterminism = word(0)
      send(
        word(serveCommands.buildDerivation),
        encodeDerivation(drv),
        word(limits.maxSilentSeconds),
        word(limits.timeoutSeconds),
        word(limits.maxLogBytes),
        repeats,
        enforceDeterminism,
        ...(version >= 0x207 ? [word(0)] : []),
      )
      return readBuildResult(reader, { times: true, outputs: version >= 0x206 })
    },
  }
}
