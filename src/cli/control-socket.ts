import { join } from 'node:path'
import type { Io } from './io.ts'

/**
 * Where the daemon can be asked: in RUNTIME_DIRECTORY of systemd, for root in /run, for others in their
 * XDG_RUNTIME_DIR; null where there is no such place.
 */
export const controlSocketPath = (env: Io['env'], uid: number): string | null => {
  // systemd joins several directories with colons
  const runtime = env['RUNTIME_DIRECTORY']?.split(':')[0]
  const directory =
    runtime ||
    (uid === 0
      ? '/run/builder-monitor'
      : env['XDG_RUNTIME_DIR'] && join(env['XDG_RUNTIME_DIR'], 'builder-monitor'))
  return directory ? join(directory, 'control.sock') : null
}
