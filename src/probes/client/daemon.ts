import { dirname } from 'node:path'
import { describeErrorCode } from '../../text/error-code.ts'
import { oneLine } from '../../text/truncate.ts'
import type { ClientOutcome } from '../../model/index.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** Checks whether nix-daemon answers and has read the present nix.conf. */
export const checkDaemon = async (context: ClientContext): Promise<ClientOutcome> => {
  const { active, daemon } = context
  if (active.source === 'demo')
    return outcome('skipped', 'not_applicable', { detail: 'the demo has no nix-daemon' })
  if (active.nix.version === null) return outcome('skipped', 'no_local_nix')
  return daemon.answers
    ? checkConfigAge(context)
    : explainNoAnswer(context, daemon.reason)
}

const explainNoAnswer = async (
  { env, localSystem }: ClientContext,
  reason: string,
): Promise<ClientOutcome> => {
  const detail = oneLine(describeErrorCode(reason))
  if (reason === 'EACCES' || reason === 'EPERM')
    return outcome('degraded', 'client_daemon_denied', { detail })
  const socket =
    env['NIX_DAEMON_SOCKET_PATH'] ||
    `${env['NIX_STATE_DIR'] || '/nix/var/nix'}/daemon-socket/socket`
  // root opens the store directly; a stopped daemon leaves its socket behind
  const needsNoDaemon =
    localSystem.uid === 0 || (await localSystem.stat(dirname(socket))) === null
  if (reason === 'ENOENT' && needsNoDaemon)
    return outcome('skipped', 'not_applicable', {
      detail: 'this Nix has no daemon: builds start without one',
    })
  // It accepts and closes the connection: allowed-users excludes our user (daemon.cc)
  const isRunning = (await localSystem.daemon()) !== null
  if (isRunning && !/^E[A-Z]+$/.test(reason) && !/no answer/.test(reason))
    return outcome('degraded', 'client_daemon_denied', { detail })
  return outcome('failed', 'client_daemon_down', { detail: `${socket}: ${detail}` })
}

/** Checks whether a nix.conf is newer than the daemon. No effect on NixOS: store files are from 1970, and nixos-rebuild restarts the daemon. */
const checkConfigAge = async ({
  active,
  localSystem,
}: ClientContext): Promise<ClientOutcome> => {
  const process = await localSystem.daemon()
  if (!process) return ok
  for (const file of active.nix.configFiles ?? []) {
    const fileInfo = await localSystem.stat(file)
    // Start times and the boot time are rounded to whole seconds
    if (fileInfo && 'mtime' in fileInfo && fileInfo.mtime > process.startedAt + 2)
      return outcome('degraded', 'daemon_restart_needed', { file })
  }
  return ok
}
