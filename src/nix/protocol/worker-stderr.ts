import { sanitize } from '../../text/sanitize.ts'
import { NixError } from './errors.ts'
import type { WireReader } from './wire.ts'

/** The tags of the STDERR loop (worker-protocol.hh). */
export const stderrTags = {
  last: 0x616c7473,
  error: 0x63787470,
  next: 0x6f6c6d67,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  result: 0x52534c54,
} as const

/** activity.hh resBuildLogLine: its first field is a line of the builder. */
const buildLogLine = 101

/** The last part of the remote's log; at most `maxChars` characters. */
export interface LogTail {
  add(text: string): void
  /** Returns sanitized text. */
  read(): string
}

export const createLogTail = (maxChars = 8192): LogTail => {
  let tail = ''
  return {
    add: text => {
      if (text !== '')
        tail = (tail + text + (text.endsWith('\n') ? '' : '\n')).slice(-maxChars)
    },
    read: () => sanitize(tail, maxChars),
  }
}

/**
 * Reads a worker's messages until the operation is done; its reply follows. Throws NixError if the operation failed.
 * `minor` is the negotiated minor version.
 */
export const readStderr = async (
  reader: WireReader,
  minor: number,
  log: LogTail,
): Promise<void> => {
  for (;;) {
    const tag = await reader.number('message tag')
    if (tag === stderrTags.last) return
    if (tag === stderrTags.error) throw await readError(reader, minor)
    if (tag === stderrTags.next) log.add(await reader.text('log line'))
    else if (tag === stderrTags.startActivity) log.add(await readActivity(reader))
    else if (tag === stderrTags.stopActivity) await reader.word('activity id')
    else if (tag === stderrTags.result) log.add(await readResult(reader))
    else throw reader.protocolError(`unknown message tag 0x${tag.toString(16)}`)
  }
}

const readError = async (reader: WireReader, minor: number): Promise<NixError> => {
  if (minor < 26) {
    const message = await reader.text('error message')
    await reader.word('exit status')
    return new NixError(sanitize(message))
  }
  await reader.text('error type')
  await reader.word('error level')
  await reader.text('error name')
  const message = await reader.text('error message')
  await expectNoPosition(reader)
  const traces = await reader.list('error traces', async () => {
    await expectNoPosition(reader)
    return sanitize(await reader.text('error trace'))
  })
  return new NixError(sanitize(message), traces)
}

/** No version has ever sent a position, so the encoding after a non-zero flag is unknown. */
const expectNoPosition = async (reader: WireReader): Promise<void> => {
  await reader.number('error position', 0)
}

const readActivity = async (reader: WireReader): Promise<string> => {
  await reader.word('activity id')
  await reader.word('activity level')
  await reader.word('activity type')
  const text = await reader.text('activity text')
  await readFields(reader)
  await reader.word('parent activity')
  return text
}

const readResult = async (reader: WireReader): Promise<string> => {
  await reader.word('activity id')
  const type = await reader.word('result type')
  const [first] = await readFields(reader)
  return type === BigInt(buildLogLine) && typeof first === 'string' ? first : ''
}

const readFields = (reader: WireReader): Promise<readonly (string | bigint)[]> =>
  reader.list('fields', async () =>
    (await reader.number('field type', 1)) === 0
      ? reader.word('field')
      : reader.text('field'),
  )
