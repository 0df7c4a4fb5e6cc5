import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { chmod, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { gzip } from 'node:zlib'
import { promisify } from 'node:util'
import type { Log } from '../log.ts'
import type { HttpAnswer, HttpRequest, Route } from './exporter.ts'

/** Where to listen: a TCP address, or the path of a unix socket. */
export type Listen =
  { readonly host: string; readonly port: number } | { readonly path: string }

export interface HttpServer {
  /** `127.0.0.1:10922`, or the path: what was really bound. */
  readonly address: string
  /** Ends every connection, streams too. */
  close(): Promise<void>
}

const limits = {
  connections: 256,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  urlLength: 2048,
}
const gzipFrom = 1024

const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'cache-control': 'no-store',
}

/** The one server. Rejects with the system's error when it cannot listen. */
export const startHttp = async (
  listen: Listen,
  routes: readonly Route[],
  log: Log,
): Promise<HttpServer> => {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: 5000,
    },
    (request, response) => void serve(request, response, routes, 'path' in listen, log),
  )
  server.maxConnections = limits.connections
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await bind(server, listen)
  const bound = server.address()
  return {
    address:
      typeof bound === 'object' && bound !== null
        ? `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
        : String(bound),
    close: async () => {
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
      if ('path' in listen) await rm(listen.path, { force: true })
    },
  }
}

const bind = async (server: Server, listen: Listen): Promise<void> => {
  // The file of a monitor that was killed is in the way; one that answers is another monitor
  if ('path' in listen && !(await answers(listen.path)))
    await rm(listen.path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen, () => {
      server.off('error', reject)
      resolve()
    })
  })
  if ('path' in listen) await chmod(listen.path, 0o660)
}

const answers = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  routes: readonly Route[],
  isControl: boolean,
  log: Log,
): Promise<void> => {
  response.on('error', () => undefined)
  request.resume() // no route takes a body
  try {
    const parsed = parse(request, isControl)
    const answer = parsed ? await answerFor(parsed, routes) : plain(400, 'bad request\n')
    await send(request, response, answer)
  } catch (error) {
    log.error({ err: error, url: request.url?.slice(0, 200) }, 'request failed')
    if (!response.headersSent)
      await send(request, response, plain(500, 'internal error\n'))
    else response.destroy()
  }
}

const parse = (request: IncomingMessage, isControl: boolean): HttpRequest | null => {
  const text = request.url ?? '/'
  if (text.length > limits.urlLength || !text.startsWith('/')) return null
  const [path = '/', query = ''] = text.split('?', 2) as [string, string?]
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    return null
  }
  const remote = request.socket.remoteAddress ?? ''
  return {
    method: request.method ?? 'GET',
    path: decoded,
    query: new URLSearchParams(query),
    headers: request.headers,
    isLocal: isControl || remote === '::1' || /^(?:::ffff:)?127\./.test(remote),
  }
}

const plain = (status: number, body: string): HttpAnswer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body,
})

const answerFor = (
  request: HttpRequest,
  routes: readonly Route[],
): HttpAnswer | Promise<HttpAnswer> => {
  const here = routes.filter(({ path }) =>
    path.endsWith('/') && path !== '/'
      ? request.path.startsWith(path)
      : request.path === path,
  )
  if (here.length === 0) return plain(404, 'not found\n')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  const route = here.find(one => one.method === method)
  if (!route) return plain(405, 'method not allowed\n')
  return route.handle(request)
}

const compress = promisify(gzip)

const send = async (
  request: IncomingMessage,
  response: ServerResponse,
  answer: HttpAnswer,
): Promise<void> => {
  for (const [name, value] of Object.entries(securityHeaders))
    response.setHeader(name, value)
  if ('stream' in answer) return answer.stream(response)
  for (const [name, value] of Object.entries(answer.headers ?? {}))
    response.setHeader(name, value)
  response.setHeader('content-type', answer.type)
  response.setHeader('vary', 'accept, accept-encoding')
  let body = Buffer.from(answer.body)
  if (
    body.length >= gzipFrom &&
    !response.hasHeader('content-encoding') &&
    /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  ) {
    body = Buffer.from(await compress(body, { level: 3 }))
    response.setHeader('content-encoding', 'gzip')
  }
  response.setHeader('content-length', body.length)
  response.writeHead(answer.status)
  response.end(request.method === 'HEAD' ? undefined : body)
}
