import { dirname } from 'node:path'
import { oneLine } from '../../diagnosis/text.ts'
import type { ClientOutcome } from '../../model.ts'
import { found, ok, type ClientContext } from './outcome.ts'

/** Does nix-daemon answer, and has it read the nix.conf that is there now? */
export const checkDaemon = async (context: ClientContext): Promise<ClientOutcome> => {
  const { active, daemon } = context
  if (active.nix.version === null) return found('skipped', 'no_local_nix')
  return daemon.answers ? checkAge(context) : nameSilence(context, daemon.reason)
}

const nameSilence = async (
  { env, machine }: ClientContext,
  reason: string,
): Promise<ClientOutcome> => {
  const detail = oneLine(reason)
  if (reason === 'EACCES' || reason === 'EPERM')
    return found('degraded', 'client_daemon_denied', { detail })
  const socket =
    env['NIX_DAEMON_SOCKET_PATH'] ||
    `${env['NIX_STATE_DIR'] || '/nix/var/nix'}/daemon-socket/socket`
  // root opens the store by itself; a daemon that was stopped leaves its socket behind
  const needsNone = machine.uid === 0 || (await machine.look(dirname(socket))) === null
  if (reason === 'ENOENT' && needsNone)
    return found('skipped', 'not_asked', {
      detail: 'this Nix has no daemon: builds start without one',
    })
  // It accepts and hangs up: allowed-users leaves us out (daemon.cc)
  const isRunning = (await machine.daemon()) !== null
  if (isRunning && !/^E[A-Z]+$/.test(reason) && !/no answer/.test(reason))
    return found('degraded', 'client_daemon_denied', { detail })
  return found('failed', 'client_daemon_down', { detail: `${socket}: ${detail}` })
}

/** The store of NixOS is of 1970, and there nixos-rebuild restarts the daemon. */
const checkAge = async ({ active, machine }: ClientContext): Promise<ClientOutcome> => {
  const process = await machine.daemon()
  if (!process) return ok
  for (const file of active.nix.configFiles ?? []) {
    const seen = await machine.look(file)
    // Start times are told in whole seconds since a boot that is told in whole seconds
    if (seen && 'mtime' in seen && seen.mtime > process.startedAt + 2)
      return found('degraded', 'daemon_restart_needed', { file })
  }
  return ok
}
