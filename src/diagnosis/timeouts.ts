import type { Kind, LoginValue, Outcome, Params, Result } from '../model/index.ts'

/** Kinds that mean "no answer in time". */
const timeoutKinds: ReadonlySet<Kind> = new Set<Kind>([
  'tcp_timeout',
  'banner_timeout',
  'kex_timeout',
  'login_timeout',
  'daemon_frozen',
  'shell_hangs',
  'build_timeout',
])

/** Returns whether an attempt failed because there was no answer in time. */
export const isTimeout = (outcome: Outcome | undefined): boolean =>
  outcome?.status === 'failed' && timeoutKinds.has(outcome.kind)

/**
 * Returns a successful result as `degraded` when it took longer than `expectedMs`; every other result as it is. `kind`
 * names what is slow, from the value; `builder` are its parameters.
 */
export const degradeIfSlow = <T>(
  result: Result<T>,
  expectedMs: number,
  kind: (value: T) => Kind,
  builder: Params,
): Result<T> => {
  const { outcome, durationSeconds } = result
  if (outcome.status !== 'ok' || durationSeconds * 1000 <= expectedMs) return result
  const { value } = outcome
  const params = { ...builder, detail: `it took ${durationSeconds.toFixed(1)} s` }
  return { ...result, outcome: { status: 'degraded', kind: kind(value), params, value } }
}

/** Returns what is slow: the link carries connect and key exchange, the builder does the rest. */
export const slowLoginKind = ({ phases }: LoginValue): Kind => {
  const linkSeconds = (phases.tcp ?? 0) + (phases.kex ?? 0)
  const allSeconds = Object.values(phases).reduce((sum, seconds) => sum + seconds, 0)
  return linkSeconds > allSeconds / 2 ? 'slow_link' : 'slow_login'
}
