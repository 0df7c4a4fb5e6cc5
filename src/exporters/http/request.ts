import type { IncomingMessage } from 'node:http'
import type { HttpRequest } from './route.ts'
import type { Limits } from './limits.ts'

/** The kind of listener that received a request. */
export type ListenerKind = 'tcp' | 'unix' | 'control'

/** Parses a request for routes, or returns the status of a rejected one. */
export const parseRequest = (
  request: IncomingMessage,
  listenerKind: ListenerKind,
  isAuthenticated: boolean,
  limits: Limits,
): HttpRequest | { readonly status: 400 | 413 | 414 | 431 } => {
  const text = request.url ?? '/'
  if (text.length > limits.urlLength) return { status: 414 }
  if (request.rawHeaders.length / 2 > limits.headers) return { status: 431 }
  if (Number(request.headers['content-length'] ?? 0) > limits.bodyBytes)
    return { status: 413 }
  // Absolute URLs are for proxies
  if (!text.startsWith('/')) return { status: 400 }
  const [path = '/', query = ''] = text.split('?', 2) as [string, string?]
  let decoded: string
  try {
    decoded = decodeURIComponent(path)
  } catch {
    return { status: 400 }
  }
  return {
    method: request.method ?? 'GET',
    path: decoded,
    query: new URLSearchParams(query),
    headers: request.headers,
    isLocal:
      listenerKind === 'control' ||
      (listenerKind === 'tcp' && isLoopback(request) && !isForwarded(request)),
    isAuthenticated,
    isControl: listenerKind === 'control',
  }
}

const isLoopback = ({ socket }: IncomingMessage): boolean =>
  /^(?:::1$|(?:::ffff:)?127\.)/.test(socket.remoteAddress ?? '')

/** A local proxy forwards requests of other clients. */
const isForwarded = ({ headers }: IncomingMessage): boolean =>
  ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip'].some(name => name in headers)

/**
 * Whether a web page made the browser send this request. Our pages change nothing, and other pages (also through DNS
 * rebinding) must not.
 */
export const isBrowserRequest = ({ headers }: IncomingMessage): boolean =>
  headers.origin !== undefined || (headers['sec-fetch-site'] ?? 'none') !== 'none'
