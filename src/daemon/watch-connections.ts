import { readFile } from 'node:fs/promises'
import type { Builder, BuilderState, Clock, Run, Snapshot } from '../model/index.ts'
import {
  endpointOf,
  hasRecentTraffic,
  isHung,
  parseTcpSockets,
  type TcpSocket,
} from '../quarantine/tcp-sockets.ts'

export interface WatchConnectionsDeps {
  readonly read: () => Snapshot
  /** Where the logins of a builder connect: `ADDRESS port N`. */
  readonly keyOf: (builder: Builder) => string
  /** Requests a new login. */
  readonly recheck: (builder: Builder) => void
  readonly isEnabled: () => boolean
  readonly run: Run
  readonly clock: Clock
  /** Returns the TCP connections of this machine; for tests. */
  readonly readSockets?: () => Promise<readonly TcpSocket[]>
}

/** Watches the connections of real builds from outside. */
export interface WatchedConnections {
  /** Whether builds of this machine move on a builder, as far as it is known. */
  makesProgress(name: string): boolean
  start(): void
  stop(): void
}

const everyMs = 2000
/** A builder is not asked again within this time, milliseconds. */
const recheckGapMs = 10_000
/** A connection that received data within this time moves, milliseconds. */
const trafficMs = 5000
const maxBytes = 4 * 1024 * 1024

/**
 * Creates the watcher: a connection to a builder that hangs (a SYN without an answer for a second, or data that is not
 * answered) requests a login at once, so that a dead builder is found by the first build that meets it.
 */
export const createWatchConnections = (
  deps: WatchConnectionsDeps,
): WatchedConnections => {
  const { read, keyOf, recheck, run, clock, readSockets = readTcpSockets } = deps
  const askedAt = new Map<string, number>()
  let progressing: ReadonlySet<string> = new Set()
  let timer: NodeJS.Timeout | undefined
  let isBusy = false

  const look = async (): Promise<void> => {
    const sockets = await readSockets()
    const hung = new Set(sockets.filter(isHung).map(endpointOf))
    const now = clock.monotonic()
    const { builders } = read()
    for (const { builder, drain, quarantine } of builders.values()) {
      if (!hung.has(keyOf(builder)) || drain) continue
      if (quarantine?.phase === 'quarantined') continue
      if (now - (askedAt.get(builder.name) ?? -Infinity) < recheckGapMs) continue
      askedAt.set(builder.name, now)
      recheck(builder)
    }
    for (const name of askedAt.keys()) if (!builders.has(name)) askedAt.delete(name)
    const inUse = [...builders.values()].filter(usesSlots).map(({ builder }) => builder)
    const moves = await Promise.all(
      inUse.map(async builder =>
        (await hasTraffic(keyOf(builder))) ? [builder.name] : [],
      ),
    )
    progressing = new Set(moves.flat())
  }
  const hasTraffic = async (endpoint: string): Promise<boolean> => {
    const [, address = '', port = ''] =
      /^([0-9a-fA-F.:]+) port (\d{1,5})$/.exec(endpoint) ?? []
    // Without an address it is not known: nothing is believed that would take a working builder out of service
    if (address === '') return true
    const { spawnError, stdout } = await run({
      file: 'ss',
      args: ['-tinH', 'state', 'established', 'dst', address, 'dport', '=', `:${port}`],
      signal: AbortSignal.timeout(2000),
      maxBytes: 256 * 1024,
    })
    return spawnError !== null || hasRecentTraffic(stdout, trafficMs)
  }
  return {
    makesProgress: name => progressing.has(name),
    start: () => {
      timer = setInterval(() => {
        if (isBusy || !deps.isEnabled()) return
        isBusy = true
        look()
          .catch(() => undefined)
          .finally(() => (isBusy = false))
      }, everyMs)
    },
    stop: () => clearInterval(timer),
  }
}

const usesSlots = ({ probes }: BuilderState): boolean => {
  const outcome = probes.slots?.last.outcome
  return (
    outcome !== undefined && 'value' in outcome && (outcome.value?.inUse.length ?? 0) > 0
  )
}

const readTcpSockets = async (): Promise<readonly TcpSocket[]> => {
  const texts = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map(path =>
      readFile(path, 'utf8').catch(() => ''),
    ),
  )
  return texts.flatMap(text => parseTcpSockets(text.slice(0, maxBytes)))
}
