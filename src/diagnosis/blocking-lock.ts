import type { LocksValue, Outcome } from '../model/index.ts'

/** A garbage collection that holds its lock longer than this is stuck. */
const stuckAfterSeconds = 3600

/**
 * Returns what blocked a build that did not finish, from the builder's locks right after it: `busy` while it waits,
 * `failed` for a lock that was held for an hour. Null if no lock explains it. Pure.
 */
export const findBlockingLock = (
  { gcLockHolder, storeLockHolder, buildUsers, buildUsersInUse }: LocksValue,
  now: number,
): Extract<Outcome<never>, { status: 'busy' | 'failed' }> | null => {
  if (storeLockHolder) {
    const { pid, program, runtimeSeconds, path } = storeLockHolder
    const age =
      runtimeSeconds === null ? '' : `, running for ${formatAge(runtimeSeconds)}`
    const holder = `process ${pid}${program ? `, ${program}` : ''}${age}`
    return {
      status: 'failed',
      kind: 'store_locked',
      params: { detail: holder, pid: String(pid), path },
    }
  }
  if (gcLockHolder) {
    const { pid, program, runtimeSeconds, since } = gcLockHolder
    const holder = `process ${pid}${program ? `, ${program}` : ''}`
    const age =
      runtimeSeconds === null ? '' : `, running for ${formatAge(runtimeSeconds)}`
    const seconds = now - since
    return seconds < stuckAfterSeconds
      ? {
          status: 'busy',
          kind: 'gc_wait',
          params: { detail: `${holder}${age}`, pid: String(pid) },
        }
      : {
          status: 'failed',
          kind: 'build_timeout',
          params: {
            detail: `the garbage collector lock has been held for ${formatAge(seconds)} by ${holder}`,
            pid: String(pid),
          },
        }
  }
  if (buildUsers !== null && buildUsers > 0 && buildUsersInUse >= buildUsers)
    return { status: 'busy', kind: 'slots_full', params: { users: String(buildUsers) } }
  return null
}

const formatAge = (seconds: number): string =>
  seconds < 120
    ? `${Math.round(seconds)} s`
    : seconds < 7200
      ? `${Math.floor(seconds / 60)} minutes`
      : `${Math.floor(seconds / 3600)} hours`
