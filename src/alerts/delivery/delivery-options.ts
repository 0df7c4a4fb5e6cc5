import type { DeliveryDeps } from './worker.ts'
import type { PersistedState } from './manage-receivers.ts'
import type { ReceiverSettings } from './receivers.ts'

/** What the exporters that send alerts are handed. */
export interface DeliveryOptions extends DeliveryDeps {
  /** As configured now. */
  readonly receivers: () => ReceiverSettings
  /** What outlives a restart, by section. */
  readonly persistedState: (section: string) => PersistedState
}
