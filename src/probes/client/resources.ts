import type { ClientOutcome } from '../../model/index.ts'
import { formatBytes } from '../../text/bytes.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

const mib = 1024 * 1024
/** With less, nothing can be registered or logged. Nix itself reserves 8 MiB. */
const fullBytes = 8 * mib
/** ssh and Nix write only some sockets and key files there. */
const fullTemporaryBytes = mib
/** Results of usual builds with what they depend on; the database; compressed logs. A small filesystem takes small builds. */
const usualStoreBytes = 512 * mib
const usualStateBytes = 64 * mib
const usualShare = 1 / 40
const minMemoryBytes = 128 * 1024 * 1024

/** Checks space for build results and for files that Nix writes while it sends builds. */
export const checkDisk = async ({
  active,
  env,
  localSystem,
}: ClientContext): Promise<ClientOutcome> => {
  const nix = [
    { path: env['NIX_STORE_DIR'] || '/nix/store', usual: usualStoreBytes },
    { path: env['NIX_STATE_DIR'] || '/nix/var/nix', usual: usualStateBytes },
    { path: env['NIX_LOG_DIR'] || '/nix/var/log/nix', usual: usualStateBytes },
  ].map(each => ({ ...each, full: fullBytes }))
  const temporary = { path: env['TMPDIR'] || '/tmp', usual: 0, full: fullTemporaryBytes }
  const found = await Promise.all(
    [...(active.nix.version === null ? [] : nix), temporary].map(
      async ({ path, usual, full }) => {
        const space = await localSystem.space(path)
        if (space === null) return []
        const needed = Math.min(usual, space.total * usualShare)
        const params = {
          path,
          available: formatBytes(space.available),
          minFree: formatBytes(needed),
        }
        if (space.available < Math.min(full, space.total / 2))
          return [outcome('failed', 'client_disk_full', params)]
        return space.available < needed
          ? [outcome('degraded', 'client_disk_low', params)]
          : []
      },
    ),
  )
  const all = found.flat()
  return all.find(({ status }) => status === 'failed') ?? all[0] ?? ok
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
