import type { ClientOutcome } from '../../model.ts'
import { isReachedBySsh } from '../../nix/store-uri.ts'
import { humanBytes } from '../disk.ts'
import { found, ok, type ClientContext } from './outcome.ts'

/** Results come back here; with less no build can end. */
const leastSpace = 100 * 1024 * 1024
const leastMemory = 128 * 1024 * 1024

/** Room for the results of builds, and for what Nix writes while it sends them. */
export const checkDisk = async ({
  active,
  env,
  machine,
}: ClientContext): Promise<ClientOutcome> => {
  const nix = [
    env['NIX_STORE_DIR'] || '/nix/store',
    env['NIX_STATE_DIR'] || '/nix/var/nix',
  ]
  const paths = [...(active.nix.version === null ? [] : nix), env['TMPDIR'] || '/tmp']
  for (const path of paths) {
    const available = await machine.space(path)
    if (available !== null && available < leastSpace)
      return found('failed', 'client_disk_full', {
        available: humanBytes(available),
        path,
      })
  }
  return ok
}

export const checkMemory = async ({ machine }: ClientContext): Promise<ClientOutcome> => {
  const memory = await machine.memory()
  if (!memory)
    return found('skipped', 'not_told', {
      detail: 'no word about memory from the system',
    })
  const { available, total } = memory
  return available < leastMemory && available < total / 20
    ? found('degraded', 'client_memory', {
        available: humanBytes(available),
        total: humanBytes(total),
      })
    : ok
}

export const checkNetwork = ({ active, machine }: ClientContext): ClientOutcome => {
  if (machine.hasNetwork()) return ok
  const away = active.builders.some(
    builder =>
      isReachedBySsh(builder) && !/^(?:localhost|127\.|::1$)/.test(builder.host ?? ''),
  )
  return away
    ? found('failed', 'client_offline')
    : found('skipped', 'not_asked', { detail: 'no builder is elsewhere' })
}
