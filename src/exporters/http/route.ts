import type { IncomingMessage, ServerResponse } from 'node:http'

/** A request as routes see it. */
export interface HttpRequest {
  readonly method: string
  /** Decoded path without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  /** True for the loopback interface and the control socket. */
  readonly isLocal: boolean
  /** True with a password, with a client certificate, and on the control socket. Other remote clients may only read. */
  readonly isAuthenticated: boolean
  /** True on the control socket, which is protected by its file permissions. */
  readonly isControl: boolean
}

/** A complete response, or a stream that the route writes itself (server-sent events). */
export type HttpResponse =
  | {
      readonly status: number
      readonly type: string
      readonly body: string | Buffer
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly stream: (response: ServerResponse) => void }

export interface Route {
  readonly method: 'GET' | 'POST'
  /** An exact path, or a prefix that ends with `/`. */
  readonly path: string
  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse>
}
