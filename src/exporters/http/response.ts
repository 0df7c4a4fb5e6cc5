import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { HttpResponse } from './route.ts'

export type BufferedResponse = Extract<HttpResponse, { readonly body: unknown }>

export const textResponse = (
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): BufferedResponse => ({ status, type: 'text/plain; charset=utf-8', body, headers })

const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'cache-control': 'no-store',
}

/** Sets the default headers, overridden by configured ones. An empty value removes a default header. */
export const setHeaders = (
  response: ServerResponse,
  configured: Readonly<Record<string, string>>,
): void => {
  const isSecure = 'encrypted' in response.req.socket
  for (const [name, value] of Object.entries({ ...securityHeaders, ...configured }))
    // RFC 6797: must not be sent without TLS
    if (value !== '' && (isSecure || name !== 'strict-transport-security'))
      response.setHeader(name, value)
}

const minGzipBytes = 1024
const compress = promisify(gzip)

/** Sends a response. Closes the connection when the client does not read it within `responseMs`. */
export const sendResponse = async (
  request: IncomingMessage,
  response: ServerResponse,
  answer: BufferedResponse,
  responseMs: number,
): Promise<void> => {
  for (const [name, value] of Object.entries(answer.headers ?? {}))
    response.setHeader(name, value)
  response.setHeader('content-type', answer.type)
  response.setHeader('vary', 'accept, accept-encoding')
  let body = typeof answer.body === 'string' ? Buffer.from(answer.body) : answer.body
  if (
    body.length >= minGzipBytes &&
    !response.hasHeader('content-encoding') &&
    /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  ) {
    body = Buffer.from(await compress(body, { level: 3 }))
    response.setHeader('content-encoding', 'gzip')
  }
  response.setHeader('content-length', body.length)
  response.writeHead(answer.status)
  const tooSlow = setTimeout(() => response.destroy(), responseMs).unref()
  response.once('close', () => clearTimeout(tooSlow))
  response.end(request.method === 'HEAD' ? undefined : body)
}
