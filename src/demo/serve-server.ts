import { startSession, type Pipe } from '../nix/protocol/session.ts'
import { serveCommands, serveMagic, serveVersion } from '../nix/protocol/serve.ts'
import { UnexpectedEofError } from '../nix/protocol/errors.ts'
import type { WireOptions } from '../nix/protocol/wire.ts'
import { list, text, word } from '../nix/protocol/wire-writer.ts'
import { readBuildRequest, writeBuildResult } from './build-request.ts'

/** Serves the protocol of `nix-store --serve --write` until the client closes. Throws if the client violates it. */
export const serveServeProtocol = async (
  pipe: Pipe,
  options: WireOptions,
): Promise<void> => {
  const { reader, send, endWrite } = startSession(pipe, options)
  await reader.magic(serveMagic.client, 'the serve protocol', endWrite)
  send(word(serveMagic.server), word(serveVersion))
  const minor = Math.min(await reader.number('client version'), serveVersion) & 255
  for (;;) {
    const before = reader.offset
    const command = await reader.number('command').catch((error: unknown) => {
      if (error instanceof UnexpectedEofError && error.offset === before) return null
      throw error
    })
    if (command === null) return
    if (command === serveCommands.queryValidPaths) {
      await reader.bool('lock')
      await reader.bool('substitute')
      const paths = await reader.list('paths', () => reader.text('path'))
      send(list(paths.map(text)))
    } else if (command === serveCommands.buildDerivation) {
      await readBuildRequest(reader)
      for (let i = 0; i < buildOptionCount(minor); i++) await reader.number('option')
      send(writeBuildResult({ times: minor >= 3, outputs: minor >= 6 }))
    } else throw reader.protocolError(`command ${command} is not part of the demo`)
  }
}

/** Counts the build options of a protocol version: silent time, timeout; log size; repeats, determinism; keep failed. */
const buildOptionCount = (minor: number): number =>
  2 + (minor >= 2 ? 1 : 0) + (minor >= 3 ? 2 : 0) + (minor >= 7 ? 1 : 0)
