import { readActiveBuilders } from '../config/builders/active-builders.ts'
import { readStoreIdentity } from '../config/builders/store-identity.ts'
import { readTextFile } from '../config/builders/text-source.ts'
import type { ActiveBuilders, Run } from '../model/index.ts'

/** Reads the active builders of this machine's Nix. */
export const readLocalBuilders = async (
  run: Run,
  env: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<ActiveBuilders> => {
  const active = await readActiveBuilders({
    run,
    readFile: readTextFile,
    env,
    arch: process.arch,
    platform: process.platform,
    signal,
  })
  return { ...active, nix: { ...active.nix, storeId: await readStoreIdentity(env) } }
}
