import { encodeDerivation, readBuildResult, type BuildResult } from './build.ts'
import { formatVersion, startSession, type Pipe } from './session.ts'
import type { Derivation } from './derivation.ts'
import { UnsupportedVersionError } from './errors.ts'
import type { WireOptions } from './wire.ts'
import { list, text, word } from './wire-writer.ts'

export const serveMagic = { client: 0x390c9debn, server: 0x5452eecbn } as const

/** 2.7. Below 2.6, servers of Nix 2.4 to 2.10 send one field too many; newer versions add nothing we use. */
export const serveVersion = 0x207
/** Nix 2.3; new Nix clients also reject older servers. */
const oldestServeVersion = 0x205

export const serveCommands = { queryValidPaths: 1, buildDerivation: 8 } as const

/** Limits that the remote applies to a build; 0 means none. */
export interface ServeBuildOptions {
  readonly maxSilentSeconds: number
  readonly timeoutSeconds: number
  /** Limit of the build log, which the remote writes to its stderr. */
  readonly maxLogBytes: number
}

/**
 * An open session with `nix-store --serve --write`. One request at a time. The protocol has no error messages: a failing
 * remote writes to its stderr and exits, which is an UnexpectedEofError here.
 */
export interface Serve {
  /** Negotiated version: at most `2.7`. */
  readonly version: string
  /** Returns the valid ones of the paths. Opens the remote store, unless the list is empty. */
  queryValidPaths(paths: readonly string[]): Promise<readonly string[]>
  buildDerivation(drv: Derivation, options: ServeBuildOptions): Promise<BuildResult>
}

/** Performs the handshake with a serve process. Throws ProtocolError, UnexpectedEofError, UnsupportedVersionError or the signal's reason. */
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
