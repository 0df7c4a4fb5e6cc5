import type { AlertsState, Snapshot, View } from '../../model.ts'
import type { Named } from './receivers.ts'
import type { Tally } from './tally.ts'

/** A section of what outlives a restart. */
export interface Memory {
  read(): unknown
  /** Has it written before long. */
  write(value: () => unknown): void
  /** Writes what is not written yet, of all sections. Never rejects. */
  flush(): Promise<void>
}

/** What is kept going for one receiver. */
export interface Receiver {
  follow(state: AlertsState): void
  /** What of it outlives a restart, as JSON. */
  remember(): unknown
  stop(): void
}

/** How a receiver has what it remembers kept. */
export interface Keep {
  changed(): void
  flush(): Promise<void>
}

interface FollowOptions<T> {
  readonly view: View
  readonly memory: Memory
  readonly tally: Tally
  /** As configured now. */
  readonly wanted: () => readonly Named<T>[]
  readonly create: (named: Named<T>, kept: unknown, keep: Keep) => Receiver
}

/**
 * Keeps one receiver going for each that is configured, and gives each the newest alerts. A receiver whose settings
 * changed begins anew with what the old one remembered. Until the returned function is called.
 */
export const followReceivers = <T>(options: FollowOptions<T>): (() => void) => {
  const { view, memory, tally, wanted, create } = options
  const running = new Map<
    string,
    { readonly text: string; readonly receiver: Receiver }
  >()
  const kept = (memory.read() ?? {}) as Readonly<Record<string, unknown>>
  const keep: Keep = {
    changed: () =>
      memory.write(() =>
        Object.fromEntries(
          [...running].map(([name, { receiver }]) => [name, receiver.remember()]),
        ),
      ),
    flush: () => memory.flush(),
  }
  /** Those that are new. */
  const arrange = (): ReadonlySet<Receiver> => {
    const names = new Map(wanted().map(one => [one.label, one]))
    for (const [label, { receiver }] of running) {
      if (names.has(label)) continue
      receiver.stop()
      running.delete(label)
      tally.forget(label)
    }
    const fresh = new Set<Receiver>()
    for (const [label, named] of names) {
      const text = JSON.stringify(named.settings)
      const old = running.get(label)
      if (old?.text === text) continue
      old?.receiver.stop()
      tally.know(label)
      const past = old ? old.receiver.remember() : kept[label]
      const receiver = create(named, past, keep)
      running.set(label, { text, receiver })
      fresh.add(receiver)
    }
    return fresh
  }
  let before: AlertsState | undefined
  const follow = ({ alerts }: Snapshot) => {
    const fresh = arrange()
    const isNews = alerts !== before
    before = alerts
    if (!alerts) return
    for (const { receiver } of running.values())
      if (isNews || fresh.has(receiver)) receiver.follow(alerts)
    if (isNews && running.size > 0) keep.changed()
  }
  follow(view.read())
  const unsubscribe = view.subscribe(follow)
  return () => {
    unsubscribe()
    for (const { receiver } of running.values()) receiver.stop()
  }
}
