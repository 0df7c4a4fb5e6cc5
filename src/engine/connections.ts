import type { Builder, Connection } from '../model/index.ts'

/** The kept connection of each builder. */
export interface Connections {
  /** Closes the connections of builders that are not in this list, and accepts none for them from now on. */
  setBuilders(builders: readonly Builder[]): void
  get(builder: Builder): Connection | undefined
  /** Closes the connection of the builder and keeps the new one, or none. */
  replace(builder: Builder, connection: Connection | null): void
  closeAll(): void
}

/** A changed machine line is another builder: its connection would measure the wrong host. */
const keyOf = ({ name, line }: Builder): string => `${name}\0${line}`

/** Creates an empty set of connections. `onLost` is called when a kept connection closes by itself. */
export const createConnections = (
  onLost: (builder: Builder, reason: string) => void,
): Connections => {
  const connections = new Map<string, Connection>()
  let allowed: ReadonlySet<string> = new Set()
  return {
    setBuilders: builders => {
      allowed = new Set(builders.map(keyOf))
      for (const [key, connection] of connections)
        if (!allowed.has(key)) {
          connections.delete(key)
          connection.close()
        }
    },
    get: builder => connections.get(keyOf(builder)),
    replace: (builder, connection) => {
      const key = keyOf(builder)
      const previous = connections.get(key)
      connections.delete(key)
      previous?.close()
      if (!connection) return
      // A login that ends after its builder was removed
      if (!allowed.has(key)) return connection.close()
      connections.set(key, connection)
      void connection.closed.then(reason => {
        if (connections.get(key) !== connection) return
        connections.delete(key)
        onLost(builder, reason)
      })
    },
    closeAll: () => {
      allowed = new Set()
      const open = [...connections.values()]
      connections.clear()
      for (const connection of open) connection.close()
    },
  }
}
