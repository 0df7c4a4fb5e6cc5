import type { PersistedState } from './manage-receivers.ts'
import type { ReceiverSettings } from './receivers.ts'
import type { DeliveryDeps } from './worker.ts'

export interface DeliveryOptions extends DeliveryDeps {
  /** The receivers in the current configuration. */
  readonly receivers: () => ReceiverSettings
  /** Returns the section of the state file with this name. */
  readonly persistedState: (section: string) => PersistedState
}
