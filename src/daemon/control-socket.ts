import { join } from 'node:path'

/**
 * Returns the path of the control socket: in systemd's RUNTIME_DIRECTORY, in /run for root, else in XDG_RUNTIME_DIR. Null
 * when there is no such directory.
 */
export const defaultControlSocket = (
  env: Readonly<Record<string, string | undefined>>,
  uid: number,
): string | null => {
  // systemd joins several directories with colons
  const runtime = env['RUNTIME_DIRECTORY']?.split(':')[0]
  const directory =
    runtime ||
    (uid === 0
      ? '/run/builder-monitor'
      : env['XDG_RUNTIME_DIR'] && join(env['XDG_RUNTIME_DIR'], 'builder-monitor'))
  return directory ? join(directory, 'control.sock') : null
}
