import { startConversation, type Pipe } from '../nix/conversation.ts'
import { serveCommands, serveMagic, serveVersion } from '../nix/serve.ts'
import { WireEnd } from '../nix/wire-error.ts'
import type { WireOptions } from '../nix/wire.ts'
import { list, text, word } from '../nix/wire-writer.ts'
import { readBuildRequest, writeBuildResult } from './build-server.ts'

/** Answers as `nix-store --serve --write` would, until the client leaves; throws where it breaks the protocol. */
export const serveServe = async (pipe: Pipe, options: WireOptions): Promise<void> => {
  const { reader, send, leave } = startConversation(pipe, options)
  await reader.magic(serveMagic.client, 'the serve protocol', leave)
  send(word(serveMagic.server), word(serveVersion))
  const minor = Math.min(await reader.number('client version'), serveVersion) & 255
  for (;;) {
    const before = reader.offset
    const command = await reader.number('command').catch((error: unknown) => {
      if (error instanceof WireEnd && error.offset === before) return null
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
      for (let i = 0; i < optionCount(minor); i++) await reader.number('option')
      send(writeBuildResult({ times: minor >= 3, outputs: minor >= 6 }))
    } else throw reader.violation(`command ${command} is not part of the demo`)
  }
}

/** Build options of each version: silent time, timeout; log size; repeats, determinism; keep failed. */
const optionCount = (minor: number): number =>
  2 + (minor >= 2 ? 1 : 0) + (minor >= 3 ? 2 : 0) + (minor >= 7 ? 1 : 0)
