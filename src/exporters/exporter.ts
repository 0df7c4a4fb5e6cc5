import type { IncomingMessage, ServerResponse } from 'node:http'
import type { View } from '../model/index.ts'

/** A request as routes see it. */
export interface HttpRequest {
  readonly method: string
  /** Decoded path without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  /** True for the loopback interface and the control socket. */
  readonly isLocal: boolean
  /** True with a password or a client certificate, and at the control socket. Who is neither this nor local must not act. */
  readonly isAuthenticated: boolean
  /** True at the control socket, whose file says who may ask. */
  readonly isControl: boolean
}

/** An answer from memory, or a stream that the route writes itself (server-sent events). */
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
  /** An exact path, or a beginning that ends in `/`. */
  readonly path: string
  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse>
}

/** One way out: routes over the view, or something that follows it, or both. A new exporter is one file and a line. */
export interface Exporter {
  readonly name: string
  routes?(view: View): readonly Route[]
  /** Follows the view until the returned function is called. */
  start?(view: View): () => void
}
