import type { ServerResponse } from 'node:http'
import type { HttpResponse } from '../exporter.ts'

/** One message of server-sent events (WHATWG HTML, section 9.2). `data` goes as JSON on one line. */
export interface ServerEvent {
  readonly event: string
  readonly id: string
  readonly data: unknown
}

export interface EventStream {
  /** Sends, unless the reader is behind: then it is dropped, and `catchUp` is called once there is room again. */
  send(event: ServerEvent): void
  readonly isPaused: boolean
}

/** What a follower does with its stream. */
export interface Subscriber {
  /** Sends what has changed since it was sent last. */
  flush(): void
  end(): void
}

export interface EventStreams {
  /** An answer that stays open until the reader leaves; 503 where too many have come. */
  open(subscribe: (stream: EventStream) => Subscriber): HttpResponse
}

const retryMs = 3000
const pingMs = 15_000
/** A reader that takes nothing for so long is gone. */
const stalledMs = 60_000

export const createEventStreams = (limit: number): EventStreams => {
  let count = 0
  return {
    open: subscribe => {
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
          serve(response, subscribe, () => count--)
        },
      }
    },
  }
}

const serve = (
  response: ServerResponse,
  subscribe: (stream: EventStream) => Subscriber,
  onEnd: () => void,
): void => {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    // nginx would hold it back
    'x-accel-buffering': 'no',
  })
  let stallTimer: NodeJS.Timeout | null = null
  const write = (text: string) => {
    if (!response.write(text))
      stallTimer ??= setTimeout(() => response.destroy(), stalledMs)
  }
  write(`retry: ${retryMs}\n\n`)
  const subscriber = subscribe({
    send: ({ event, id, data }) => {
      if (stallTimer === null)
        write(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
    },
    get isPaused() {
      return stallTimer !== null
    },
  })
  const ping = setInterval(() => {
    if (stallTimer === null) write(': still here\n\n')
  }, pingMs)
  response.on('drain', () => {
    if (stallTimer) clearTimeout(stallTimer)
    stallTimer = null
    subscriber.flush()
  })
  response.once('close', () => {
    clearInterval(ping)
    if (stallTimer) clearTimeout(stallTimer)
    subscriber.end()
    onEnd()
  })
  subscriber.flush()
}
