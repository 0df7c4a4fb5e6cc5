import { startSession, type ProtocolSession, type Pipe } from '../nix/protocol/session.ts'
import { stderrTags } from '../nix/protocol/worker-stderr.ts'
import { UnexpectedEofError } from '../nix/protocol/errors.ts'
import type { WireOptions } from '../nix/protocol/wire.ts'
import { list, text, word } from '../nix/protocol/wire-writer.ts'
import { workerMagic, workerOps, workerVersion } from '../nix/protocol/worker.ts'
import type { DemoBuilder } from './demo-builder.ts'
import { readBuildRequest, writeBuildResult } from './build-request.ts'

const minClientVersion = 0x10a
const queryValidPaths = 31
const repairMode = 1

/** Serves the protocol of `nix-daemon --stdio` until the client closes. Throws if the client violates it. */
export const serveWorkerProtocol = async (
  pipe: Pipe,
  builder: DemoBuilder,
  options: WireOptions,
): Promise<void> => {
  const session = startSession(pipe, options)
  const minor = await handshake(session, builder)
  session.send(word(stderrTags.last))
  for (;;) {
    const op = await readOperation(session)
    if (op === null) return
    await handleOperation(session, op, minor, builder)
  }
}

const handshake = async (
  { reader, send, endWrite }: ProtocolSession,
  builder: DemoBuilder,
): Promise<number> => {
  await reader.magic(workerMagic.client, 'the worker protocol', endWrite)
  send(word(workerMagic.server), word(workerVersion))
  const clientVersion = await reader.number('client version')
  if (clientVersion < minClientVersion)
    throw new Error('the Nix client version is too old')
  const minor = Math.min(clientVersion, workerVersion) & 255
  if (minor >= 14 && (await reader.bool('CPU affinity'))) await reader.word('CPU')
  if (minor >= 11) await reader.bool('reserve space')
  if (minor >= 33) send(text(builder.nixVersion))
  if (minor >= 35) send(word(builder.trusted ? 1 : 2))
  return minor
}

/** Reads the next operation; null when the client closes. */
const readOperation = async ({ reader }: ProtocolSession): Promise<number | null> => {
  const before = reader.offset
  try {
    return await reader.number('operation')
  } catch (error) {
    if (error instanceof UnexpectedEofError && error.offset === before) return null
    throw error
  }
}

const handleOperation = async (
  { reader, send }: ProtocolSession,
  op: number,
  minor: number,
  builder: DemoBuilder,
): Promise<void> => {
  const done = (...reply: readonly Buffer[]) => {
    send(word(stderrTags.last), ...reply)
  }
  const paths = () => reader.list('paths', () => reader.text('path'))
  switch (op) {
    case workerOps.isValidPath:
      await reader.text('path')
      return done(word(1))
    case workerOps.buildPaths: {
      await paths()
      const isRepair = (await reader.number('build mode')) === repairMode
      return isRepair && !builder.trusted ? send(repairRejection(minor)) : done(word(1))
    }
    case queryValidPaths: {
      const valid = await paths()
      if (minor >= 27) await reader.bool('substitute')
      return done(list(valid.map(text)))
    }
    case workerOps.buildDerivation:
      await readBuildRequest(reader)
      await reader.number('build mode')
      return done(writeBuildResult({ times: minor >= 29, outputs: minor >= 28 }))
    default:
      throw reader.protocolError(`operation ${op} is not part of the demo`)
  }
}

const repairRejection = (minor: number): Buffer => {
  const message = text("repairing is not allowed because you are not in 'trusted-users'")
  const error = word(stderrTags.error)
  const level = word(0)
  return minor < 26
    ? Buffer.concat([error, message, word(1)])
    : Buffer.concat([
        error,
        text('Error'),
        level,
        text('Error'),
        message,
        word(0),
        list([]),
      ])
}
