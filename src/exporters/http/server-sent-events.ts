import type { ServerResponse } from 'node:http'
import type { HttpResponse } from './route.ts'

/** One server-sent event (WHATWG HTML, section 9.2). `data` is sent as one line of JSON. */
export interface ServerEvent {
  readonly event: string
  readonly id: string
  readonly data: unknown
}

export interface EventStream {
  /** Sends an event. While the stream is paused the event is dropped; `flush` is called when it is writable again. */
  send(event: ServerEvent): void
  readonly isPaused: boolean
}

/** Sends the events of one stream. */
export interface Subscriber {
  /** Sends all changes since the last call. */
  flush(): void
  end(): void
}

export interface EventStreams {
  /** Returns a response that stays open until the client disconnects; status 503 above the limit. */
  open(subscribe: (stream: EventStream) => Subscriber): HttpResponse
}

const retryMs = 3000
const pingMs = 15_000
/** Disconnects a client that reads nothing for this time. */
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
          body: `too many event streams (limit ${limit}), retry later\n`,
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
    // Without this, nginx buffers the stream
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
    if (stallTimer === null) write(': ping\n\n')
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
