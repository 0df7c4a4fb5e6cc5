import { realpath } from 'node:fs/promises'
import { join } from 'node:path'

/** Where the slot holder listens unless it is configured otherwise; systemd/builder-monitor-slots.socket. */
export const defaultHolderSocket = '/run/builder-monitor-slots/hold.sock'

/** Returns Nix's directory of slot locks (build-remote.cc: currentLoad is nixStateDir + "/current-load"). */
export const currentLoadDirectory = async (
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> => {
  const stateDirectory = env['NIX_STATE_DIR'] || '/nix/var/nix'
  return join(await realpath(stateDirectory).catch(() => stateDirectory), 'current-load')
}
