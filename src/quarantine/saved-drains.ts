import { isSlotName, maxSlots } from './holder/messages.ts'
import { activeDrains, parseDrains, serializeDrains, type DrainList } from './drains.ts'

/** What is kept over a restart of the monitor, so that it does not interrupt a drain. Quarantines are not kept. */
export interface SavedDrains {
  readonly drains: DrainList
  /** Slot locks of drained builders. */
  readonly slots: readonly string[]
  /** Where the slot holder listens; null if it is not known. */
  readonly socket: string | null
}

/** Returns the drains as JSON for the state file. */
export const serializeSavedDrains = ({
  drains,
  slots,
  socket,
}: SavedDrains): unknown => ({
  drains: serializeDrains(drains),
  slots,
  socket,
})

/** Parses the output of `serializeSavedDrains`. Drains that have ended at `now` (Unix seconds) and invalid entries are dropped. */
export const parseSavedDrains = (persisted: unknown, now: number): SavedDrains => {
  const saved = (
    typeof persisted === 'object' && persisted !== null ? persisted : {}
  ) as Readonly<Record<string, unknown>>
  const all = parseDrains(saved['drains'])
  const drains = activeDrains(all, now)
  const hasEnded = all.size > 0 && drains.size === 0
  const slots = Array.isArray(saved['slots']) && !hasEnded ? saved['slots'] : []
  return {
    drains,
    slots: slots.slice(0, maxSlots).filter(isSlotText),
    socket: typeof saved['socket'] === 'string' ? saved['socket'] : null,
  }
}

/** One invalid name would make the holder refuse all of them. */
const isSlotText = (name: unknown): name is string =>
  typeof name === 'string' && isSlotName(name)
