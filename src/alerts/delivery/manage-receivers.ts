import type { AlertsState, Snapshot, View } from '../../model/index.ts'
import type { ReceiverConfig } from './receivers.ts'
import type { DeliveryMetrics } from './delivery-metrics.ts'

/** A section of what outlives a restart. */
export interface PersistedState {
  read(): unknown
  /** Has it written before long. */
  write(value: () => unknown): void
  /** Writes what is not written yet, of all sections. Never rejects. */
  flush(): Promise<void>
}

/** What is kept going for one receiver. */
export interface Receiver {
  update(state: AlertsState): void
  /** What of it outlives a restart, as JSON. */
  serialize(): unknown
  stop(): void
}

/** How a receiver has what it remembers kept. */
export interface Persistence {
  schedule(): void
  flush(): Promise<void>
}

interface FollowOptions<T> {
  readonly view: View
  readonly persistedState: PersistedState
  readonly metrics: DeliveryMetrics
  /** As configured now. */
  readonly configured: () => readonly ReceiverConfig<T>[]
  readonly create: (
    config: ReceiverConfig<T>,
    persisted: unknown,
    persistence: Persistence,
  ) => Receiver
}

/**
 * Keeps one receiver going for each that is configured, and gives each the newest alerts. A receiver whose settings
 * changed begins anew with what the old one remembered. Until the returned function is called.
 */
export const manageReceivers = <T>(options: FollowOptions<T>): (() => void) => {
  const { view, persistedState, metrics, configured, create } = options
  const running = new Map<
    string,
    { readonly settingsJson: string; readonly receiver: Receiver }
  >()
  const persisted = (persistedState.read() ?? {}) as Readonly<Record<string, unknown>>
  const persistence: Persistence = {
    schedule: () =>
      persistedState.write(() =>
        Object.fromEntries(
          [...running].map(([name, { receiver }]) => [name, receiver.serialize()]),
        ),
      ),
    flush: () => persistedState.flush(),
  }
  /** Those that are new. */
  const reconcile = (): ReadonlySet<Receiver> => {
    const byLabel = new Map(configured().map(one => [one.label, one]))
    for (const [label, { receiver }] of running) {
      if (byLabel.has(label)) continue
      receiver.stop()
      running.delete(label)
      metrics.removeReceiver(label)
    }
    const added = new Set<Receiver>()
    for (const [label, config] of byLabel) {
      const settingsJson = JSON.stringify(config.settings)
      const existing = running.get(label)
      if (existing?.settingsJson === settingsJson) continue
      existing?.receiver.stop()
      metrics.addReceiver(label)
      const previousState = existing ? existing.receiver.serialize() : persisted[label]
      const receiver = create(config, previousState, persistence)
      running.set(label, { settingsJson, receiver })
      added.add(receiver)
    }
    return added
  }
  let previous: AlertsState | undefined
  const update = ({ alerts }: Snapshot) => {
    const added = reconcile()
    const changed = alerts !== previous
    previous = alerts
    if (!alerts) return
    for (const { receiver } of running.values())
      if (changed || added.has(receiver)) receiver.update(alerts)
    if (changed && running.size > 0) persistence.schedule()
  }
  update(view.read())
  const unsubscribe = view.subscribe(update)
  return () => {
    unsubscribe()
    for (const { receiver } of running.values()) receiver.stop()
  }
}
