import { serializeBuilders } from '../state/persisted-builders.ts'
import type { StateFile } from '../state/state-file.ts'
import type { Store } from '../state/store.ts'

/** Writes builders to the state file after each snapshot: soon when a state changed, else with a delay. Returns a stop function, which schedules a last write. */
export const persistState = (store: Store, file: StateFile): (() => void) => {
  let previous = store.read().builders
  const write = (isUrgent: boolean) =>
    file.write('builders', () => serializeBuilders(store.read()), isUrgent)
  const unsubscribe = store.subscribe(({ builders }, change) => {
    const isStateChanged = [...change.builders].some(
      name => builders.get(name)?.health.changes !== previous.get(name)?.health.changes,
    )
    previous = builders
    if (change.builders.size > 0) write(isStateChanged)
  })
  return () => {
    unsubscribe()
    // What changed in this turn of the event loop was not announced yet
    write(true)
  }
}
