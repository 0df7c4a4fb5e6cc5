import type { BuilderState, Kind } from '../model/index.ts'

/**
 * Failures for which each further attempt counts against our address (PerSourcePenalties of OpenSSH 9.8 and newer), which
 * would lock out real builds.
 */
const penalizedKinds: ReadonlySet<Kind> = new Set<Kind>([
  'auth_denied',
  'auth_method_refused',
  'key_signing_failed',
  'key_missing',
  'key_unreadable',
  'key_encrypted',
  'key_permissions',
])

/** Seconds to wait after the first, the second and each later authentication failure in a row. */
const backoffSeconds = [60, 300, 900] as const

/** Returns the Unix time before which no login must be attempted, 0 when there is no limit. */
export const loginBackoffUntil = ({ probes }: Pick<BuilderState, 'probes'>): number => {
  const record = probes.login
  const outcome = record?.conclusive?.outcome
  if (!record || outcome?.status !== 'failed' || !penalizedKinds.has(outcome.kind))
    return 0
  const index = Math.min(record.streak.count, backoffSeconds.length) - 1
  return record.last.at + (backoffSeconds[index] ?? backoffSeconds[2])
}
