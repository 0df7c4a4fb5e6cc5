import { maxDrainReason, maxDrainUser, type Drain } from '../../model/index.ts'
import { oneLine } from '../../text/truncate.ts'
import type { HttpRequest, HttpResponse, Route } from '../http/route.ts'

/** What a drain or its end did. `warning`: why builds are not kept away. */
export type DrainResult =
  | {
      readonly ok: true
      readonly names: readonly string[]
      readonly warning: string | null
    }
  | { readonly ok: false; readonly error: string }

export interface DrainActions {
  drain(names: readonly string[], drain: Omit<Drain, 'since'>): DrainResult
  undrain(names: readonly string[]): DrainResult
}

/** `POST /-/drain` and `/-/undrain` with `?name=...`. Only available on the control socket. */
export const drainRoutes = ({ drain, undrain }: DrainActions): readonly Route[] => [
  {
    method: 'POST',
    path: '/-/drain',
    handle: request =>
      onControlSocket(request, names => {
        const { query } = request
        const until = query.get('until')
        if (until !== null && !Number.isFinite(Number(until)))
          return { ok: false, error: 'until is not a Unix time' }
        const reason = oneLine(query.get('reason') ?? '', maxDrainReason)
        return drain(names, {
          by: oneLine(query.get('by') ?? '', maxDrainUser) || 'unknown',
          reason: reason || null,
          until: until === null ? null : Number(until),
        })
      }),
  },
  {
    method: 'POST',
    path: '/-/undrain',
    handle: request => onControlSocket(request, undrain),
  },
]

const onControlSocket = (
  { isControl, query }: HttpRequest,
  act: (names: readonly string[]) => DrainResult,
): HttpResponse => {
  if (!isControl) return text(403, 'only available on the control socket')
  const names = query.getAll('name')
  if (names.length === 0) return text(400, 'no builder is named')
  const result = act(names)
  return result.ok
    ? {
        status: 200,
        type: 'application/json; charset=utf-8',
        body: JSON.stringify({ names: result.names, warning: result.warning }),
      }
    : text(404, result.error)
}

const text = (status: number, body: string): HttpResponse => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
})
