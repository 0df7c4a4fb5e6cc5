import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../../log/log.ts'
import type { WebAccess } from '../../model/index.ts'
import { textResponse, sendResponse, setHeaders } from './response.ts'
import { createBasicAuth } from './basic-auth.ts'
import { createBcrypt } from './bcrypt.ts'
import type { HttpResponse, HttpRequest, Route } from '../exporter.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { createRateLimit } from './rate-limit.ts'
import { isBrowserRequest, parseRequest, type ListenerKind } from './request.ts'

export interface RequestHandlerOptions {
  readonly routes: readonly Route[]
  readonly log: Log
  /** What the web configuration file says now; everybody may come in by default. */
  readonly access?: () => WebAccess
  readonly limits?: Partial<Limits>
}

/** How a request came in. */
export interface ConnectionInfo {
  readonly listenerKind: ListenerKind
  /** It has proven itself by a client certificate. */
  readonly isVerified: boolean
  /** Its connection shall not be used again. */
  readonly closeAfterResponse: boolean
}

/** What is served, by as many servers as there are addresses: who may ask, which route answers. */
export interface RequestHandler {
  readonly log: Log
  readonly limits: Limits
  access(): WebAccess
  handle(
    request: IncomingMessage,
    response: ServerResponse,
    connection: () => ConnectionInfo,
  ): Promise<void>
  stop(): void
}

const openAccess: WebAccess = {
  tls: null,
  users: new Map(),
  headers: {},
  rateLimit: null,
}

export const createRequestHandler = (options: RequestHandlerOptions): RequestHandler => {
  const { routes, log, access = () => openAccess } = options
  const limits = { ...defaultLimits, ...options.limits }
  const bcrypt = createBcrypt()
  const checkBasicAuth = createBasicAuth(bcrypt)
  const allowRequest = createRateLimit()

  /** Who asks, or what is answered instead. */
  const authenticate = async (
    { headers }: IncomingMessage,
    { listenerKind, isVerified }: ConnectionInfo,
  ): Promise<{ readonly isAuthenticated: boolean } | HttpResponse> => {
    // Its file says who may: it must work where a password is forgotten
    if (listenerKind === 'control') return { isAuthenticated: true }
    const { users, rateLimit } = access()
    if (!allowRequest(rateLimit, performance.now()))
      return textResponse(429, 'too many requests\n')
    if (users.size === 0) return { isAuthenticated: isVerified }
    switch (await checkBasicAuth(headers.authorization, users)) {
      case 'good':
        return { isAuthenticated: true }
      case 'busy':
        return textResponse(503, 'too many logins at once\n', { 'retry-after': '1' })
      case 'bad':
        return textResponse(401, 'unauthorized\n', {
          'www-authenticate': 'Basic realm="builder-monitor", charset="UTF-8"',
        })
    }
  }

  const respond = async (
    request: IncomingMessage,
    connection: ConnectionInfo,
  ): Promise<HttpResponse> => {
    const authentication = await authenticate(request, connection)
    if (!('isAuthenticated' in authentication)) return authentication
    const { listenerKind: entrance } = connection
    const parsed = parseRequest(request, entrance, authentication.isAuthenticated, limits)
    if ('status' in parsed) return textResponse(parsed.status, errorBodies[parsed.status])
    const route = findRoute(parsed, routes)
    if (!('handle' in route)) return route
    return route.method !== 'GET' && isBrowserRequest(request)
      ? textResponse(403, 'not for web pages\n')
      : route.handle(parsed)
  }

  return {
    log,
    limits,
    access,
    stop: () => bcrypt.stop(),
    handle: async (request, response, connection) => {
      response.on('error', () => undefined)
      discardBody(request, limits.bodyBytes)
      try {
        const handle = await respond(request, connection())
        setHeaders(response, access().headers)
        const { status } = 'status' in handle ? handle : { status: 200 }
        if (connection().closeAfterResponse || status === 413)
          response.setHeader('connection', 'close')
        if (response.closed) return // the client has left
        if ('stream' in handle && request.method === 'HEAD') response.end()
        else if ('stream' in handle) handle.stream(response)
        else await sendResponse(request, response, handle, limits.responseMs)
      } catch (error) {
        log.error({ err: error, url: request.url?.slice(0, 200) }, 'request failed')
        if (response.headersSent) response.destroy()
        else
          await sendResponse(
            request,
            response,
            textResponse(500, 'internal error\n'),
            limits.responseMs,
          )
      }
    },
  }
}

const errorBodies = {
  400: 'bad request\n',
  413: 'no route takes a body\n',
  414: 'the URL is too long\n',
  431: 'too many headers\n',
}

/** Reads a body away, so that the connection can go on; one that does not end loses it. */
const discardBody = (request: IncomingMessage, maxBytes: number): void => {
  let bytes = 0
  request.on('error', () => undefined)
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > maxBytes) request.destroy()
  })
}

const findRoute = (
  request: HttpRequest,
  routes: readonly Route[],
): Route | HttpResponse => {
  const matching = routes.filter(({ path }) =>
    path.endsWith('/') && path !== '/'
      ? request.path.startsWith(path)
      : request.path === path,
  )
  if (matching.length === 0) return textResponse(404, 'not found\n')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  return (
    matching.find(one => one.method === method) ??
    textResponse(405, 'method not allowed\n')
  )
}
