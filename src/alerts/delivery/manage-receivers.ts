import type { AlertsState, Snapshot, View } from '../../model/index.ts'
import type { ReceiverConfig } from './receivers.ts'
import type { DeliveryMetrics } from './delivery-metrics.ts'

/** A section of the state file. */
export interface PersistedState {
  read(): unknown
  /** Schedules a write. */
  write(value: () => unknown): void
  /** Writes all scheduled sections now. Never rejects. */
  flush(): Promise<void>
}

/** The running delivery to one receiver. */
export interface Receiver {
  update(state: AlertsState): void
  /** Returns its state for the state file, as JSON. */
  serialize(): unknown
  stop(): void
}

/** Saves the state of all receivers of one kind. */
export interface Persistence {
  schedule(): void
  flush(): Promise<void>
}

interface ManageOptions<T> {
  readonly view: View
  readonly persistedState: PersistedState
  readonly metrics: DeliveryMetrics
  /** The receivers in the current configuration. */
  readonly configured: () => readonly ReceiverConfig<T>[]
  readonly create: (
    config: ReceiverConfig<T>,
    persisted: unknown,
    persistence: Persistence,
  ) => Receiver
}

/**
 * Runs one receiver per configured one and passes the newest alerts to each, until the returned function is called.
 * Changed settings restart a receiver with its serialized state.
 */
export const manageReceivers = <T>(options: ManageOptions<T>): (() => void) => {
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
  /** Starts and stops receivers to match the configuration. Returns those that were started. */
  const reconcile = (): ReadonlySet<Receiver> => {
    const byLabel = new Map(configured().map(config => [config.label, config]))
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
