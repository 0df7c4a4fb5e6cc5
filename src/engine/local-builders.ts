import { readActiveBuilders } from '../config/builders/active-builders.ts'
import { readStoreIdentity } from '../config/builders/store-identity.ts'
import { readTextFile } from '../config/builders/text-source.ts'
import type { ActiveBuilders, Builder, Run } from '../model/index.ts'
import { findDaemonOwner } from '../probes/client/daemon-owner.ts'
import { localSystem } from '../probes/client/local-system.ts'

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
  const owner = await findDaemonOwner({ localSystem, env, run, signal })
  const withUser = (builder: Builder): Builder =>
    owner === null || owner.uid === 0 ? builder : { ...builder, sshUser: owner.user }
  return {
    ...active,
    builders: active.builders.map(withUser),
    nix: { ...active.nix, storeId: await readStoreIdentity(env) },
  }
}
