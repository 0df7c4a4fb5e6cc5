import { readActiveBuilders } from '../config/builders/active-builders.ts'
import { readTextFile } from '../config/builders/text-source.ts'
import type { ActiveBuilders, Run } from '../model/index.ts'
import type { Io } from './terminal.ts'

/** The builders of this machine's own Nix, as every command reads them. */
export const readLocalBuilders = (
  run: Run,
  env: Io['env'],
  signal: AbortSignal,
): Promise<ActiveBuilders> =>
  readActiveBuilders({
    run,
    readFile: readTextFile,
    env,
    arch: process.arch,
    platform: process.platform,
    signal,
  })
