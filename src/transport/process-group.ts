import type { ChildProcess } from 'node:child_process'

/** Time that a process group has to exit after SIGTERM, in milliseconds. Nix removes its temporary files in that time. */
const graceMs = 1500

/** Signals the process group of a child that was started with `detached`; a group that is gone is ignored. */
export const killGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // ESRCH: the group is gone already
  }
}

/** Sends SIGTERM to a process group, and SIGKILL after a grace period unless the returned timer is cleared. */
export const terminateGroup = (child: ChildProcess): NodeJS.Timeout => {
  killGroup(child, 'SIGTERM')
  return setTimeout(() => killGroup(child, 'SIGKILL'), graceMs)
}
