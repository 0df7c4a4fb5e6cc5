import type { BuildResultLayout } from '../nix/protocol/build.ts'
import type { WireReader } from '../nix/protocol/wire.ts'
import { concat, list, text, word } from '../nix/protocol/wire-writer.ts'

/** Reads a derivation path and a BasicDerivation, and discards them. */
export const readBuildRequest = async (reader: WireReader): Promise<void> => {
  await reader.text('drv path')
  await reader.list('outputs', async () => {
    for (const part of ['name', 'path', 'hash algorithm', 'hash']) await reader.text(part)
  })
  await reader.list('input sources', () => reader.text('input source'))
  await reader.text('platform')
  await reader.text('builder')
  await reader.list('arguments', () => reader.text('argument'))
  await reader.list('environment', async () => {
    await reader.text('variable')
    await reader.text('value')
  })
}

/** Encodes the result of a successful build, which takes no time in the demo. */
export const writeBuildResult = (layout: BuildResultLayout): Buffer =>
  concat(
    word(0),
    text(''),
    ...(layout.times ? [word(1), word(0), word(0), word(0)] : []),
    ...(layout.outputs ? [list([])] : []),
  )
