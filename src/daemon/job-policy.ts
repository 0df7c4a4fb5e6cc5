import type { Config } from '../config/config.ts'
import { isClientTrouble, isVerified } from '../diagnosis/diagnose.ts'
import { loginBackoffUntil } from '../diagnosis/login-backoff.ts'
import type { BuilderState, Kind, Params } from '../model/index.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { formatBytes } from '../text/bytes.ts'
import { lastValue } from '../state/store.ts'

/** Delay before an unexpected result is confirmed by a second login. Longer than the gap that health requires (5 s). */
const confirmationDelayMs = 6000
const confirmationSplayMs = 2000
/** Delay until a login is repeated that this machine could not attempt. It sends nothing while there is no network. */
const clientRetryMs = 15_000
/** Time between logins to a quarantined builder. */
const quarantineLoginMs = 10_000
const canaryRetryMs = 60_000
const maxCanaryRetries = 3
/** With less than this above min-free, the canary itself would start a garbage collection. */
const canaryHeadroomBytes = 64 * 1024 * 1024
const daySeconds = 86_400

export type BuilderOverrides = Config['builders'][string] | undefined

/** Returns the delay in milliseconds until a login is allowed again, 0 when no back-off is running. */
export const loginBackoffMs = (state: BuilderState | undefined, now: number): number => {
  const until = state ? loginBackoffUntil(state) : 0
  return until > now ? (until - now + 1) * 1000 : 0
}

/** True when the connection is kept after a login. A builder that may sleep gets none, which would keep it awake. */
export const keepsConnection = (
  { keepConnections }: Pick<Config, 'keepConnections'>,
  overrides: BuilderOverrides,
): boolean => keepConnections && overrides?.expect !== 'asleep'

/**
 * Returns the delay in milliseconds until the next login outside the schedule, null when the schedule suffices: at the
 * end of a back-off, or soon when the result contradicts the debounced state.
 */
export const nextLoginDelayMs = (
  state: BuilderState,
  isUsable: boolean,
  now: number,
  random: () => number,
): number | null => {
  const backoffMs = loginBackoffMs(state, now)
  if (backoffMs > 0) return backoffMs
  // A store that is not reached by ssh has no login to repeat
  const login = state.probes.login?.last.outcome
  if (login && isClientTrouble(login)) return clientRetryMs
  if (login?.status === 'skipped') return null
  // Builds wait until it is verified, or for another builder
  if (state.quarantine?.phase === 'quarantined')
    return quarantineLoginMs + random() * confirmationSplayMs
  const isDown = state.health.state === 'down'
  const isExpected = isUsable ? !isDown : isDown || state.health.state === 'asleep'
  return isExpected ? null : confirmationDelayMs + random() * confirmationSplayMs
}

/** True after a login for the first canary, one that waited for a login, one whose failure may be over, and the one that ends a quarantine. */
export const needsCanary = (
  { probes, quarantine }: BuilderState,
  now: number,
): boolean => {
  const { canary, login } = probes
  if (!canary) return true
  // Only a build ends a quarantine
  if (quarantine?.phase === 'quarantined' && !isVerified(probes, quarantine.since))
    return (
      canary.last.at < quarantine.since || now - canary.last.at > canaryRetryMs / 1000
    )
  const { outcome } = canary.last
  if (outcome.status === 'skipped') return outcome.kind === 'dependency_failed'
  return outcome.status === 'failed' && login?.streak.count === 1
}

/** Returns the delay until a failed canary is repeated, null when the schedule suffices. */
export const canaryRetryDelayMs = ({ probes }: BuilderState): number | null =>
  probes.canary?.last.outcome.status === 'failed' &&
  probes.canary.streak.count < maxCanaryRetries
    ? canaryRetryMs
    : null

/** Why no canary is built now. */
export interface CanaryBlocker {
  readonly kind: Kind
  readonly params: Params
}

/** Returns why the canary must be skipped, or null. */
export const canaryBlocker = (
  state: BuilderState,
  mode: CanaryMode,
  isEnabled: boolean,
  now: number,
): CanaryBlocker | null => {
  if (!isEnabled)
    return {
      kind: 'not_requested',
      params: { detail: 'turned off by the configuration' },
    }
  const waitsFor = failedPrerequisite(state, mode)
  if (waitsFor) return { kind: 'dependency_failed', params: { waitsFor } }
  const space = lowSpace(state, now)
  return space && { kind: 'below_min_free', params: space }
}

/** Returns the failed probe that a canary depends on. Stores that are not reached by ssh have none. */
const failedPrerequisite = (
  { probes }: BuilderState,
  mode: CanaryMode,
): 'login' | 'trust' | null => {
  const login = probes.login?.last.outcome
  if (!login || isClientTrouble(login)) return 'login'
  if (login.status === 'skipped') return null
  if (login.status === 'failed' || login.status === 'busy') {
    // The daemon may have a key that we do not have. When its canary works, this machine has a problem, not the builder
    const mayWorkForDaemon =
      mode === 'daemon' && /^(?:auth|key|host_key)_/.test(login.kind)
    return mayWorkForDaemon ? null : 'login'
  }
  return probes.trust?.last.outcome.status === 'failed' ? 'trust' : null
}

/** Returns the parameters of `below_min_free` when a canary would start a garbage collection. */
const lowSpace = (state: BuilderState, now: number): Params | null => {
  const disk = lastValue(state, 'disk')
  if (!disk?.minFree || disk.store.availableBytes >= disk.minFree + canaryHeadroomBytes)
    return null
  // At least one canary a day, since only a build verifies the builder
  const lastCanaryAt = state.probes.canary?.conclusive?.at
  if (lastCanaryAt === undefined || now - lastCanaryAt > daySeconds) return null
  return {
    available: formatBytes(disk.store.availableBytes),
    minFree: formatBytes(disk.minFree),
    path: disk.store.path,
  }
}
