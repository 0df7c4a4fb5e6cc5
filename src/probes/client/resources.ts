import type { ClientOutcome } from '../../model/index.ts'
import { formatBytes } from '../../text/bytes.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** Minimum for build results, which are copied to this machine. */
const minFreeBytes = 100 * 1024 * 1024
const minMemoryBytes = 128 * 1024 * 1024

/** Checks space for build results and for files that Nix writes while it sends builds. */
export const checkDisk = async ({
  active,
  env,
  localSystem,
}: ClientContext): Promise<ClientOutcome> => {
  const nix = [
    env['NIX_STORE_DIR'] || '/nix/store',
    env['NIX_STATE_DIR'] || '/nix/var/nix',
  ]
  const paths = [...(active.nix.version === null ? [] : nix), env['TMPDIR'] || '/tmp']
  for (const path of paths) {
    const available = await localSystem.space(path)
    if (available !== null && available < minFreeBytes)
      return outcome('failed', 'client_disk_full', {
        available: formatBytes(available),
        path,
      })
  }
  return ok
}

export const checkMemory = async ({
  localSystem,
}: ClientContext): Promise<ClientOutcome> => {
  const memory = await localSystem.memory()
  if (!memory)
    return outcome('skipped', 'no_data', {
      detail: 'the system does not report its memory',
    })
  const { available, total } = memory
  return available < minMemoryBytes && available < total / 20
    ? outcome('degraded', 'client_memory', {
        available: formatBytes(available),
        total: formatBytes(total),
      })
    : ok
}
