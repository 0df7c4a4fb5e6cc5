/** An HTTP server on loopback: a receiver of alerts that can fail. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export interface Got {
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
export type Answer = (got: Got, response: ServerResponse) => void

export const ok: Answer = (_, response) => response.end('{"status":"success"}')
export const status =
  (code: number, text = ''): Answer =>
  (_, response) =>
    response.writeHead(code).end(text)

export const startReceiver = async (t: Test, first: Answer = ok) => {
  const got: Got[] = []
  let answer = first
  let open = 0
  let most = 0
  const server = createServer((request, response) => {
    open += 1
    most = Math.max(most, open)
    response.on('close', () => (open -= 1))
    response.on('error', () => undefined)
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('error', () => undefined)
    request.on('end', () => {
      const received = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      }
      got.push(received)
      answer(received, response)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${port}`,
    label: `127.0.0.1:${port}`,
    got,
    /** Most requests at a time. */
    most: () => most,
    answerWith: (next: Answer) => {
      answer = next
    },
  }
}

/** Polls; fails after a minute. */
export const until = async (what: string, holds: () => boolean): Promise<void> => {
  const end = performance.now() + 60_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`waited for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
