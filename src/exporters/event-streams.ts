import type { ServerResponse } from 'node:http'
import type { HttpAnswer } from './exporter.ts'

/** One message of server-sent events (WHATWG HTML, section 9.2). `data` goes as JSON on one line. */
export interface ServerEvent {
  readonly event: string
  readonly id: string
  readonly data: unknown
}

export interface EventStream {
  /** Sends, unless the reader is behind: then it is dropped, and `catchUp` is called once there is room again. */
  send(event: ServerEvent): void
  readonly isBehind: boolean
}

/** What a follower does with its stream. */
export interface Follower {
  /** Sends what has changed since it was sent last. */
  catchUp(): void
  end(): void
}

export interface EventStreams {
  /** An answer that stays open until the reader leaves; 503 where too many have come. */
  open(follow: (stream: EventStream) => Follower): HttpAnswer
}

const retryMs = 3000
const pingMs = 15_000
/** A reader that takes nothing for so long is gone. */
const behindMs = 60_000

export const createEventStreams = (limit: number): EventStreams => {
  let count = 0
  return {
    open: follow => {
      if (count >= limit)
        return {
          status: 503,
          type: 'text/plain; charset=utf-8',
          headers: { 'retry-after': '15' },
          body: `already ${limit} readers follow what happens here\n`,
        }
      return {
        stream: response => {
          count++
          serve(response, follow, () => count--)
        },
      }
    },
  }
}

const serve = (
  response: ServerResponse,
  follow: (stream: EventStream) => Follower,
  onEnd: () => void,
): void => {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    // nginx would hold it back
    'x-accel-buffering': 'no',
  })
  let late: NodeJS.Timeout | null = null
  const write = (text: string) => {
    if (!response.write(text)) late ??= setTimeout(() => response.destroy(), behindMs)
  }
  write(`retry: ${retryMs}\n\n`)
  const follower = follow({
    send: ({ event, id, data }) => {
      if (late === null)
        write(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
    },
    get isBehind() {
      return late !== null
    },
  })
  const ping = setInterval(() => {
    if (late === null) write(': still here\n\n')
  }, pingMs)
  response.on('drain', () => {
    if (late) clearTimeout(late)
    late = null
    follower.catchUp()
  })
  response.once('close', () => {
    clearInterval(ping)
    if (late) clearTimeout(late)
    follower.end()
    onEnd()
  })
  follower.catchUp()
}
