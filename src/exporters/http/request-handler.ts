import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../../log/log.ts'
import type { WebAccess } from '../../model/index.ts'
import type { AllowHost } from './allowed-hosts.ts'
import { textResponse, sendResponse, setHeaders } from './response.ts'
import { createBasicAuth } from './basic-auth.ts'
import { createBcrypt } from './bcrypt.ts'
import type { HttpResponse, HttpRequest, Route } from './route.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { createStreamBudget } from './stream-budget.ts'
import { createRateLimit } from './rate-limit.ts'
import { isBrowserRequest, parseRequest, type ListenerKind } from './request.ts'

export interface RequestHandlerOptions {
  readonly routes: readonly Route[]
  readonly log: Log
  /** Returns the current web configuration. Open access by default. */
  readonly access?: () => WebAccess
  readonly limits?: Partial<Limits>
  /** Decides about the `Host` header of requests over TCP, while neither TLS nor a password is required. */
  readonly allowHost?: AllowHost
}

/** The connection of a request. */
export interface ConnectionInfo {
  readonly listenerKind: ListenerKind
  /** True with a verified client certificate. */
  readonly isVerified: boolean
  readonly closeAfterResponse: boolean
}

/** Authenticates requests and passes them to routes. Shared by the servers of all addresses. */
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
  const { routes, log, access = () => openAccess, allowHost = () => true } = options
  const limits = { ...defaultLimits, ...options.limits }
  const bcrypt = createBcrypt()
  const checkBasicAuth = createBasicAuth(bcrypt)
  const allowRequest = createRateLimit()
  const reserveStream = createStreamBudget(limits)

  /** Authenticates a request, or returns the response of a rejected one. */
  const authenticate = async (
    { headers, socket }: IncomingMessage,
    { listenerKind, isVerified }: ConnectionInfo,
  ): Promise<{ readonly isAuthenticated: boolean } | HttpResponse> => {
    // Protected by file permissions; must work without the password
    if (listenerKind === 'control') return { isAuthenticated: true }
    const { users, rateLimit } = access()
    if (!allowRequest(rateLimit, performance.now()))
      return textResponse(429, 'too many requests\n')
    if (users.size === 0) return { isAuthenticated: isVerified }
    switch (await checkBasicAuth(headers.authorization, users, socket.remoteAddress)) {
      case 'good':
        return { isAuthenticated: true }
      case 'busy':
        return textResponse(503, 'too many concurrent logins\n', { 'retry-after': '1' })
      case 'bad':
        return textResponse(401, 'unauthorized\n', {
          'www-authenticate': 'Basic realm="builder-monitor", charset="UTF-8"',
        })
    }
  }

  /** With TLS or a password, a page of another name cannot read our responses. */
  const isOpen = (listenerKind: ListenerKind): boolean =>
    listenerKind === 'tcp' && access().tls === null && access().users.size === 0

  const respond = async (
    request: IncomingMessage,
    connection: ConnectionInfo,
  ): Promise<HttpResponse> => {
    if (isOpen(connection.listenerKind) && !allowHost(request.headers.host))
      return textResponse(421, unknownHost)
    const authentication = await authenticate(request, connection)
    if (!('isAuthenticated' in authentication)) return authentication
    const { isAuthenticated } = authentication
    const parsed = parseRequest(request, connection.listenerKind, isAuthenticated, limits)
    if ('status' in parsed) return textResponse(parsed.status, errorBodies[parsed.status])
    const route = findRoute(parsed, routes)
    if (!('handle' in route)) return route
    return route.method !== 'GET' && isBrowserRequest(request)
      ? textResponse(403, 'requests from web pages are not allowed\n')
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
        const answer = await respond(request, connection())
        if (response.closed) return // the client has left
        const isStream = 'stream' in answer && request.method !== 'HEAD'
        const result = isStream && !reserveStream(response) ? tooManyStreams : answer
        setHeaders(response, access().headers)
        const { status } = 'status' in result ? result : { status: 200 }
        if (connection().closeAfterResponse || status === 413)
          response.setHeader('connection', 'close')
        if ('stream' in result && request.method === 'HEAD') response.end()
        else if ('stream' in result) result.stream(response)
        else await sendResponse(request, response, result, limits.responseMs)
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

const unknownHost =
  'this host name is not known: request by address, or add the name to allowedHosts in the configuration\n'

const tooManyStreams = textResponse(503, 'too many event streams, retry later\n', {
  'retry-after': '15',
})

const errorBodies = {
  400: 'bad request\n',
  413: 'request body too large\n',
  414: 'URL too long\n',
  431: 'too many headers\n',
}

/** Discards the body, so that the connection can be reused. Closes the connection above `maxBytes`. */
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
