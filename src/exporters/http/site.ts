import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../../log.ts'
import type { WebAccess } from '../../model.ts'
import { plain, send, setHeaders } from './answer.ts'
import { createBasicAuth } from './basic-auth.ts'
import { createBcrypt } from './bcrypt.ts'
import type { HttpAnswer, HttpRequest, Route } from '../exporter.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { createRateLimit } from './rate-limit.ts'
import { isFromPage, parseRequest, type Entrance } from './request.ts'

export interface SiteOptions {
  readonly routes: readonly Route[]
  readonly log: Log
  /** What the web configuration file says now; everybody may come in by default. */
  readonly access?: () => WebAccess
  readonly limits?: Partial<Limits>
}

/** How a request came in. */
export interface Arrival {
  readonly entrance: Entrance
  /** It has proven itself by a client certificate. */
  readonly isVerified: boolean
  /** Its connection shall not be used again. */
  readonly isLast: boolean
}

/** What is served, by as many servers as there are addresses: who may ask, which route answers. */
export interface Site {
  readonly log: Log
  readonly limits: Limits
  access(): WebAccess
  answer(
    request: IncomingMessage,
    response: ServerResponse,
    arrival: () => Arrival,
  ): Promise<void>
  stop(): void
}

const openAccess: WebAccess = {
  tls: null,
  users: new Map(),
  headers: {},
  rateLimit: null,
}

export const createSite = (options: SiteOptions): Site => {
  const { routes, log, access = () => openAccess } = options
  const limits = { ...defaultLimits, ...options.limits }
  const bcrypt = createBcrypt()
  const logIn = createBasicAuth(bcrypt)
  const mayPass = createRateLimit()

  /** Who asks, or what is answered instead. */
  const admit = async (
    { headers }: IncomingMessage,
    { entrance, isVerified }: Arrival,
  ): Promise<{ readonly isAuthenticated: boolean } | HttpAnswer> => {
    // Its file says who may: it must work where a password is forgotten
    if (entrance === 'control') return { isAuthenticated: true }
    const { users, rateLimit } = access()
    if (!mayPass(rateLimit, performance.now())) return plain(429, 'too many requests\n')
    if (users.size === 0) return { isAuthenticated: isVerified }
    switch (await logIn(headers.authorization, users)) {
      case 'good':
        return { isAuthenticated: true }
      case 'busy':
        return plain(503, 'too many logins at once\n', { 'retry-after': '1' })
      case 'bad':
        return plain(401, 'unauthorized\n', {
          'www-authenticate': 'Basic realm="builder-monitor", charset="UTF-8"',
        })
    }
  }

  const answerOf = async (
    request: IncomingMessage,
    arrival: Arrival,
  ): Promise<HttpAnswer> => {
    const admitted = await admit(request, arrival)
    if (!('isAuthenticated' in admitted)) return admitted
    const { entrance } = arrival
    const parsed = parseRequest(request, entrance, admitted.isAuthenticated, limits)
    if ('status' in parsed) return plain(parsed.status, refusals[parsed.status])
    const route = routeOf(parsed, routes)
    if (!('handle' in route)) return route
    return route.method !== 'GET' && isFromPage(request)
      ? plain(403, 'not for web pages\n')
      : route.handle(parsed)
  }

  return {
    log,
    limits,
    access,
    stop: () => bcrypt.stop(),
    answer: async (request, response, arrival) => {
      response.on('error', () => undefined)
      dropBody(request, limits.bodyBytes)
      try {
        const answer = await answerOf(request, arrival())
        setHeaders(response, access().headers)
        const { status } = 'status' in answer ? answer : { status: 200 }
        if (arrival().isLast || status === 413) response.setHeader('connection', 'close')
        if (response.closed) return // the client has left
        if ('stream' in answer && request.method === 'HEAD') response.end()
        else if ('stream' in answer) answer.stream(response)
        else await send(request, response, answer, limits.answerMs)
      } catch (error) {
        log.error({ err: error, url: request.url?.slice(0, 200) }, 'request failed')
        if (response.headersSent) response.destroy()
        else
          await send(request, response, plain(500, 'internal error\n'), limits.answerMs)
      }
    },
  }
}

const refusals = {
  400: 'bad request\n',
  413: 'no route takes a body\n',
  414: 'the URL is too long\n',
  431: 'too many headers\n',
}

/** Reads a body away, so that the connection can go on; one that does not end loses it. */
const dropBody = (request: IncomingMessage, maxBytes: number): void => {
  let bytes = 0
  request.on('error', () => undefined)
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > maxBytes) request.destroy()
  })
}

const routeOf = (request: HttpRequest, routes: readonly Route[]): Route | HttpAnswer => {
  const here = routes.filter(({ path }) =>
    path.endsWith('/') && path !== '/'
      ? request.path.startsWith(path)
      : request.path === path,
  )
  if (here.length === 0) return plain(404, 'not found\n')
  const method = request.method === 'HEAD' ? 'GET' : request.method
  return here.find(one => one.method === method) ?? plain(405, 'method not allowed\n')
}
