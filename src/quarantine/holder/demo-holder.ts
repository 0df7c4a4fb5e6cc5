import { isDeepStrictEqual } from 'node:util'
import type { HolderClient, HolderClientDeps } from './holder-client.ts'

/** The slot holder of the demo fleet, to which Nix sends no builds: it touches no lock and reports every slot as held. */
export const createDemoHolder = (
  onChange: HolderClientDeps['onChange'],
): HolderClient => {
  let held: readonly string[] = []
  return {
    hold: ({ slots }) => {
      if (isDeepStrictEqual(slots, held)) return
      held = slots
      const status = { held, waiting: [], refused: {} }
      // Not while the caller still creates what the listener uses
      queueMicrotask(() => onChange({ status: 'connected', slots: status }))
    },
    close: () => undefined,
  }
}
