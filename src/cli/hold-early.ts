import {
  currentLoadDirectory,
  defaultHolderSocket,
} from '../quarantine/holder/current-load.ts'
import { holdEarly, type EarlyHold } from '../quarantine/holder/early-hold.ts'
import { parseSavedDrains } from '../quarantine/saved-drains.ts'
import { readStateSection } from '../state/read-state.ts'
import type { Io } from './terminal.ts'

/**
 * Holds the slots of drained builders again, as the monitor held them before it was restarted. To be called before the code of
 * the monitor is loaded, and only with what this file imports. Null when nothing has to be held.
 */
export const holdDrainsEarly = async ({
  env,
}: Pick<Io, 'env'>): Promise<EarlyHold | null> => {
  const stateDirectory = env['STATE_DIRECTORY']?.split(':')[0]
  if (!stateDirectory) return null
  const persisted = await readStateSection(stateDirectory, 'drains')
  const { slots, socket } = parseSavedDrains(persisted, Date.now() / 1000)
  if (slots.length === 0) return null
  const directory = await currentLoadDirectory(env)
  const deps = { socketPath: socket ?? defaultHolderSocket, directory, pid: process.pid }
  return holdEarly(deps, slots)
}
