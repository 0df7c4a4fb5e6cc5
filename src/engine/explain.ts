import type { Kind, LocksValue, Result } from '../model/index.ts'
import { findBlockingLock } from '../diagnosis/blocking-lock.ts'
import { formatMessage } from '../diagnosis/kinds/index.ts'
import { withParams } from './attempt.ts'

/** Returns whether Nix on the builder did not answer in time, because it may wait for a lock there. */
export const mayBeBlocked = ({ outcome }: Result): boolean =>
  outcome.status === 'failed' &&
  (outcome.kind === 'daemon_frozen' || outcome.params['hangs'] !== undefined)

/** Returns the result with the lock as its cause, or as it is. `now` in Unix seconds. */
export const explainByLock = (
  result: Result,
  locks: Result<LocksValue> | undefined,
  now: number,
): Result => {
  const blocked =
    locks?.outcome.status === 'ok' ? findBlockingLock(locks.outcome.value, now) : null
  return blocked === null || !('params' in result.outcome)
    ? result
    : { ...result, outcome: withParams(blocked, result.outcome.params) }
}

/** When our own canary works and the daemon's fails, the builder is healthy and this machine's settings differ. */
export const asClientMismatch = (result: Result): Result =>
  result.outcome.status !== 'failed'
    ? result
    : {
        ...result,
        outcome: {
          ...result.outcome,
          status: 'degraded',
          kind: 'daemon_build_fails',
          value: result.outcome.value,
          params: {
            ...result.outcome.params,
            detail: `through nix-daemon: ${formatMessage(result.outcome.kind, result.outcome.params)}`,
          },
        },
      }

/** Failures that a machine without a network sees. */
const networkKinds: ReadonlySet<Kind> = new Set<Kind>([
  'dns',
  'tcp_timeout',
  'tcp_unreachable',
])

/** Returns whether the failure can be that of a machine without a network. */
export const mayBeOffline = ({ outcome }: Result): boolean =>
  outcome.status === 'failed' && networkKinds.has(outcome.kind)
