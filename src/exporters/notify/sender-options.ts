import type { CourierDeps } from './courier.ts'
import type { Memory } from './follow-receivers.ts'
import type { ReceiverSettings } from './receivers.ts'

/** What the exporters that send alerts are handed. */
export interface SenderOptions extends CourierDeps {
  /** As configured now. */
  readonly receivers: () => ReceiverSettings
  /** What outlives a restart, by section. */
  readonly memory: (section: string) => Memory
}
