import type { Builder, Connection } from '../../model/index.ts'
import { storeCommand } from '../../nix/protocol/store-command.ts'
import { oneLine } from '../../text/truncate.ts'
import type { Phases } from './prepare-login.ts'

/**
 * Opens the channel that Nix opens next and measures it; a login without a working channel is not a success. The first
 * caller of `open` with that command gets this channel.
 */
export const firstChannel = async (
  builder: Builder,
  connection: Connection,
  phases: Phases,
  signal: AbortSignal,
): Promise<{ connection: Connection } | { error: string }> => {
  const command = storeCommand(builder)
  const started = performance.now()
  try {
    let first: Awaited<ReturnType<Connection['open']>> | null = await connection.open(
      command,
      signal,
    )
    phases.channel = (performance.now() - started) / 1000
    return {
      connection: {
        closed: connection.closed,
        close: () => connection.close(),
        open: async (wanted, wantedSignal) => {
          if (!first || wanted !== command) return connection.open(wanted, wantedSignal)
          const channel = first
          first = null
          return channel
        },
      },
    }
  } catch (error) {
    return { error: oneLine(error instanceof Error ? error.message : String(error)) }
  }
}
