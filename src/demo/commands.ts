import { createInterface } from 'node:readline'
import type { ServerChannel } from 'ssh2'
import type { DemoBuilder } from './demo-builder.ts'
import { serveServeProtocol } from './serve-server.ts'
import {
  isCompleteScript,
  readsRequests,
  renderAnswer,
  renderReady,
  renderTelemetryOutput,
} from './telemetry.ts'
import { serveWorkerProtocol } from './worker-server.ts'

const maxScriptBytes = 256 * 1024

export interface CommandRequest {
  readonly channel: ServerChannel
  readonly command: string
  readonly builder: DemoBuilder
  /** Fires when the client disconnects. */
  readonly signal: AbortSignal
}

/** Simulates a remote command and closes its channel with the exit code of the real one. Never rejects. */
export const runCommand = async (request: CommandRequest): Promise<void> => {
  const { channel } = request
  let code = 0
  try {
    code = await handleCommand(request)
  } catch (error) {
    code = 1
    if (!request.signal.aborted)
      channel.stderr.write(
        `error: ${error instanceof Error ? error.message : 'failed'}\n`,
      )
  }
  if (request.signal.aborted) return
  channel.exit(code)
  channel.end()
}

/** Recognizes the commands of Nix and of the monitor. Executes nothing; every other command is not found. */
const handleCommand = async ({
  channel,
  command,
  builder,
  signal,
}: CommandRequest): Promise<number> => {
  const streams = { stdout: channel, stdin: channel }
  if (/(?:^|[ /])nix-daemon --stdio/.test(command)) {
    await serveWorkerProtocol(streams, builder, { signal })
    return 0
  }
  if (/(?:^|[ /])nix-store --serve/.test(command)) {
    await serveServeProtocol(streams, { signal })
    return 0
  }
  if (/(?:^|[ /])sh -s$/.test(command)) {
    const script = await readScript(channel)
    if (readsRequests(script)) await answerRequests(channel, script, builder)
    else channel.write(renderTelemetryOutput(script, builder))
    return 0
  }
  if (command === 'true') return 0
  channel.stderr.write(`sh: 1: ${command.slice(0, 60)}: not found\n`)
  return 127
}

/** Answers each line, until the client closes its side. */
const answerRequests = async (
  channel: ServerChannel,
  script: string,
  builder: DemoBuilder,
): Promise<void> => {
  channel.write(renderReady(script))
  for await (const request of createInterface({ input: channel }))
    channel.write(renderAnswer(request, builder))
}

/** Reads until the script is complete or the client closes its side. */
const readScript = (channel: ServerChannel): Promise<string> =>
  new Promise((resolve, reject) => {
    let script = ''
    const onData = (chunk: Buffer): void => {
      script += chunk.toString('utf8')
      if (script.length > maxScriptBytes) finish(new Error('the script is too long'))
      else if (isCompleteScript(script)) finish()
    }
    const onEnd = (): void => finish()
    const finish = (error?: Error): void => {
      channel.off('data', onData).off('end', onEnd).off('close', onEnd)
      // Discards the rest, so that the client can close its side
      channel.resume()
      if (error) reject(error)
      else resolve(script)
    }
    channel.on('data', onData).on('end', onEnd).on('close', onEnd)
  })
