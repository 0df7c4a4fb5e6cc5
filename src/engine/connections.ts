import type { Builder, Clock, Connection } from '../model/index.ts'

/** The kept connection of each builder. */
export interface Connections {
  /** Closes the connections of builders that are not in this list, and accepts none for them from now on. */
  setBuilders(builders: readonly Builder[]): void
  get(builder: Builder): Connection | undefined
  /**
   * Closes the connection of the builder and keeps the new one, or none. `server`: identifies what it leads to; null where that
   * is not known.
   */
  replace(builder: Builder, connection: Connection | null, server?: string | null): void
  /**
   * Whether a new login need not replace the connection: it leads to the same server, the last sweep over it was answered, and
   * it is younger than an hour. So a login test costs no new shell and no second opening of channels.
   */
  isGood(builder: Builder, server: string | null): boolean
  /** Notes whether a sweep over the current connection was answered. */
  noteSweep(builder: Builder, isAnswered: boolean): void
  closeAll(): void
}

/** A changed machine line is another builder: its connection would measure the wrong host. */
const keyOf = ({ name, line }: Builder): string => `${name}\0${line}`

interface Kept {
  readonly connection: Connection
  readonly server: string | null
  /** Monotonic milliseconds. */
  readonly since: number
  isAnswering: boolean
}

/** A connection is replaced by the next login after this time, milliseconds: nothing that happens to it lasts longer. */
const maxAgeMs = 3_600_000

/** Creates an empty set of connections. `onLost` is called when a kept connection closes by itself. */
export const createConnections = (
  onLost: (builder: Builder, reason: string) => void,
  clock: Pick<Clock, 'monotonic'>,
): Connections => {
  const connections = new Map<string, Kept>()
  let allowed: ReadonlySet<string> = new Set()
  return {
    setBuilders: builders => {
      allowed = new Set(builders.map(keyOf))
      for (const [key, { connection }] of connections)
        if (!allowed.has(key)) {
          connections.delete(key)
          connection.close()
        }
    },
    get: builder => connections.get(keyOf(builder))?.connection,
    isGood: (builder, server) => {
      const kept = connections.get(keyOf(builder))
      return (
        kept !== undefined &&
        kept.isAnswering &&
        server !== null &&
        kept.server === server &&
        clock.monotonic() - kept.since < maxAgeMs
      )
    },
    noteSweep: (builder, isAnswered) => {
      const kept = connections.get(keyOf(builder))
      if (kept) kept.isAnswering = isAnswered
    },
    replace: (builder, connection, server = null) => {
      const key = keyOf(builder)
      const previous = connections.get(key)?.connection
      connections.delete(key)
      previous?.close()
      if (!connection) return
      // A login that ends after its builder was removed
      if (!allowed.has(key)) return connection.close()
      const since = clock.monotonic()
      connections.set(key, { connection, server, since, isAnswering: false })
      void connection.closed.then(reason => {
        if (connections.get(key)?.connection !== connection) return
        connections.delete(key)
        onLost(builder, reason)
      })
    },
    closeAll: () => {
      allowed = new Set()
      const open = [...connections.values()]
      connections.clear()
      for (const { connection } of open) connection.close()
    },
  }
}
