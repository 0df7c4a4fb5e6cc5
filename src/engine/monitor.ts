import {
  isSuccess,
  type ActiveBuilders,
  type Builder,
  type Kind,
  type LoginValue,
  type LocalNix,
  type Outcome,
  type Params,
  type ProbeName,
  type Remote,
  type Result,
  type Snapshot,
} from '../model/index.ts'
import { createCanaryProbe } from '../probes/canary.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { directProbe } from '../probes/direct.ts'
import {
  extractTrends,
  loginProbes,
  slowTelemetryProbes,
  telemetryProbes,
} from '../probes/index.ts'
import { createSlotsProbe } from '../probes/slots.ts'
import { createThroughputProbe } from '../probes/throughput.ts'
import {
  createStore,
  lastValue,
  type Recorded,
  type Store,
  type StoreDeps,
} from '../state/store.ts'
import { noTraces, type Traces } from '../state/traces.ts'
import { createConnections } from './connections.ts'
import { createEndpoints, type Endpoints } from './endpoints.ts'
import { asClientMismatch, explainByLock, mayBeBlocked, mayBeOffline } from './explain.ts'
import { createProbeRunner } from './probe-runner.ts'
import type { MonitorPorts } from './system-ports.ts'

/** What differs between the daemon, which debounces, and `check`, which reports what it sees. */
export type MonitorHealth = Pick<StoreDeps, 'evaluateHealth' | 'intervals' | 'persisted'>

export interface MonitorDeps {
  readonly health: MonitorHealth
  readonly createPorts: (nix: () => LocalNix) => MonitorPorts
  /** The environment of local programs that probes run. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether a canary also builds once per advertised feature. */
  readonly testsFeatures: () => boolean
  /** Seconds after which a slot that is held without a build is stuck. */
  readonly stuckAfterSeconds: () => number
  /** Whether a slot file is locked by our slot holder, not by a build. */
  readonly isOurSlot?: (file: string) => boolean
  /** Rate below which the link to a builder is slow, bytes per second. No limit by default. */
  readonly minBytesPerSecond?: (builder: Builder) => number
  /** Where the steps of each attempt are recorded. Nowhere by default. */
  readonly traces?: Traces
  /** Called when a kept connection closes by itself. */
  readonly onConnectionLost?: (builder: Builder, reason: string) => void
  readonly onListenerError?: StoreDeps['onListenerError']
}

/** What a login attempt found. */
export interface LoginCheck extends Recorded {
  /** True when the login succeeded and the remote Nix answered. */
  readonly isUsable: boolean
}

/** Runs probes against builders and records the results in the store. Shared by the daemon and `check`. */
export interface Monitor {
  readonly store: Store
  /** The local Nix of the newest builders list. */
  readonly nix: () => LocalNix
  readonly askLocalDaemon: MonitorPorts['askLocalDaemon']
  /** Replaces the builders list. Connections of removed and changed builders are closed. */
  setBuilders(active: ActiveBuilders): void
  /**
   * Opens a new login and checks trust over it. The connection replaces the kept one, unless that is as good. Returns null
   * when `signal` fired or the builder is not in the list any more.
   */
  checkLogin(builder: Builder, signal: AbortSignal): Promise<LoginCheck | null>
  /** Runs telemetry probes as one remote command over the kept connection. Does nothing without a connection. */
  checkTelemetry(
    builder: Builder,
    probes: readonly ProbeName[],
    signal: AbortSignal,
  ): Promise<void>
  /** Runs a canary build. When it fails, or when there is no local Nix, the direct build as well. */
  runCanary(builder: Builder, mode: CanaryMode, signal: AbortSignal): Promise<void>
  /** Reads which slots of the builder this machine holds. Needs no connection. */
  checkSlots(builder: Builder, signal: AbortSignal): Promise<void>
  /** Checks this machine. `loginsReady` delays the comparison of keys until logins have finished. */
  checkClient(signal: AbortSignal, loginsReady?: Promise<void>): Promise<void>
  /** Measures the link over the kept connection; does nothing without one. */
  checkThroughput(builder: Builder, signal: AbortSignal): Promise<void>
  recordBusy(builder: Builder, probe: ProbeName, kind: Kind): void
  recordSkipped(
    builder: Builder,
    probes: readonly ProbeName[],
    kind: Kind,
    params?: Params,
  ): void
  /** Which builders are the same sshd. */
  readonly endpoints: Pick<Endpoints, 'keyOf' | 'find'>
  isConnected(builder: Builder): boolean
  disconnect(builder: Builder): void
  /** Closes all connections. */
  close(): void
}

export const createMonitor = (deps: MonitorDeps): Monitor => {
  const { traces = noTraces } = deps
  let active: ActiveBuilders | null = null
  const nix = (): LocalNix => active?.nix ?? { version: null, system: '' }
  const ports = deps.createPorts(nix)
  const { clock } = ports
  const now = () => clock.now() / 1000
  const store = createStore({
    ...deps.health,
    now,
    readTrends: extractTrends,
    ...(deps.onListenerError ? { onListenerError: deps.onListenerError } : {}),
  })
  const endpoints = createEndpoints(ports.findEndpoint)
  const connections = createConnections(
    (builder, reason) => deps.onConnectionLost?.(builder, reason),
    clock,
  )
  const slotsProbe = createSlotsProbe({
    readLocks: ports.readSlotLocks,
    stuckAfterSeconds: deps.stuckAfterSeconds,
    isOurs: deps.isOurSlot ?? (() => false),
  })
  const throughputProbe = createThroughputProbe({
    minBytesPerSecond: deps.minBytesPerSecond ?? (() => 0),
  })
  const stateOf = (builder: Builder) => store.read().builders.get(builder.name)
  const { dial, runProbe, runTelemetry, releaseShell, notAttempted } = createProbeRunner({
    ports,
    nix,
    traces,
    last: (builder, probe) => lastValue(stateOf(builder), probe),
    onFirstTimeout: (builder, kind) => {
      if (connectTimeouts.has(kind)) store.noteFirstTimeout(builder, kind)
    },
  })

  /** Without a network here no builder can be asked. Returns the result with that cause. */
  const explainOffline = async (builder: Builder, result: Result): Promise<Result> => {
    if (!mayBeOffline(result)) return result
    const { outcome } = result
    // A name that does not resolve had an address before
    const via = lastValue(stateOf(builder), 'login')?.via?.split(' port ')[0]
    const address =
      ('params' in outcome ? outcome.params['address'] : null) ?? via ?? null
    return (await ports.isOffline(builder, address))
      ? notAttempted('skipped', builder, 'login', 'client_offline')
      : result
  }

  /** Reads the builder's locks after a timeout. Returns the result with the lock that blocks Nix as its cause. */
  const explainTimeout = async (
    builder: Builder,
    result: Result,
    signal: AbortSignal,
  ): Promise<Result> => {
    if (!mayBeBlocked(result)) return result
    const startedAt = now()
    await monitor.checkTelemetry(builder, ['locks'], signal)
    const locks = stateOf(builder)?.probes.locks?.last
    return locks && locks.at >= startedAt ? explainByLock(result, locks, now()) : result
  }

  const monitor: Monitor = {
    store,
    nix,
    askLocalDaemon: ports.askLocalDaemon,
    setBuilders: next => {
      active = next
      connections.setBuilders(next.builders)
      store.setBuilders(next)
      endpoints.retain(next.builders)
      traces.retain(new Set(next.builders.map(({ name }) => name)))
    },

    checkLogin: async (builder, signal) => {
      const dialled = await endpoints.alone(builder, signal, async () => {
        const result = await dial(builder, signal)
        return { ...result, outcome: result.login.outcome }
      })
      const { connection } = dialled
      const login = await explainOffline(builder, dialled.login)
      if (signal.aborted) {
        connection?.close()
        return null
      }
      const server = serverOf(login.outcome)
      const isOnlyTest = connection !== null && connections.isGood(builder, server)
      if (!isOnlyTest) connections.replace(builder, connection, server)
      const remote = isOnlyTest ? connection : connections.get(builder)
      const overLogin = remote
        ? await Promise.all(
            loginProbes.map(async probe =>
              explainTimeout(
                builder,
                await runProbe(builder, probe, remote, signal),
                signal,
              ),
            ),
          )
        : loginProbes.map(({ name }) =>
            notAttempted('skipped', builder, name, ...skipReason(login.outcome)),
          )
      // A session keeps its groups and environment, so the kept one says nothing about a failure of a new one
      const isKept = connections.isGood(builder, server) && overLogin.every(isSuccess)
      if (isOnlyTest && (isKept || signal.aborted)) connection.close()
      else if (isOnlyTest) connections.replace(builder, connection, server)
      if (signal.aborted) return null
      const recorded = store.record(builder, [login, ...overLogin])
      if (!recorded) return null
      const isUsable = overLogin.every(isSuccess)
      return { ...recorded, isUsable }
    },

    checkTelemetry: async (builder, names, signal) => {
      const due = [...telemetryProbes, ...slowTelemetryProbes].filter(({ name }) =>
        names.includes(name),
      )
      let remote = due.length > 0 ? connections.get(builder) : undefined
      while (remote && !signal.aborted) {
        const results = await runTelemetry(builder, due, remote, signal)
        const current = connections.get(builder)
        // A login replaces the connection, which ends what runs over the old one: that says nothing about the builder
        const isInterrupted = current !== remote && !results.every(isSuccess)
        if (current === remote) connections.noteSweep(builder, results.some(isSuccess))
        if (!isInterrupted && !signal.aborted) store.record(builder, results)
        remote = isInterrupted ? current : undefined
      }
    },

    runCanary: async (builder, mode, signal) => {
      const createCanary = (by: CanaryMode) =>
        createCanaryProbe(by, {
          builder,
          env: deps.env,
          askLocalDaemon: ports.askLocalDaemon,
          testsFeatures: deps.testsFeatures,
          isDemo: active?.source === 'demo',
        })
      const canary = await explainTimeout(
        builder,
        await endpoints.startAlone(builder, signal, () =>
          runProbe(builder, createCanary(mode), noRemote, signal),
        ),
        signal,
      )
      if (signal.aborted) return
      const worksPrivately =
        mode === 'daemon' &&
        canary.outcome.status === 'failed' &&
        isSuccess(await runProbe(builder, createCanary('private'), noRemote, signal))
      if (signal.aborted) return
      const result = worksPrivately ? asClientMismatch(canary) : canary
      store.record(builder, [result])
      const { outcome } = result
      const needsDirect =
        outcome.status === 'failed' ||
        (outcome.status === 'skipped' && outcome.kind !== 'client_untrusted')
      const remote = connections.get(builder)
      if (!needsDirect || !remote) return
      await releaseShell(remote)
      const direct = await explainTimeout(
        builder,
        await runProbe(builder, directProbe, remote, signal),
        signal,
      )
      if (!signal.aborted) store.record(builder, [direct])
    },

    checkSlots: async (builder, signal) => {
      const result = await runProbe(builder, slotsProbe, noRemote, signal)
      if (!signal.aborted) store.record(builder, [result])
    },

    checkThroughput: async (builder, signal) => {
      const remote = connections.get(builder)
      if (!remote) return
      await releaseShell(remote)
      const result = await runProbe(builder, throughputProbe, remote, signal)
      // A login that replaces the connection ends what runs over the old one
      const isInterrupted = connections.get(builder) !== remote && !isSuccess(result)
      if (!signal.aborted && !isInterrupted) store.record(builder, [result])
    },

    checkClient: async (signal, loginsReady = Promise.resolve()) => {
      if (!active) return
      const logins = loginsReady.then(() => loginsByBuilder(store.read()))
      const client = await ports.checkClient(active, signal, logins)
      if (!signal.aborted) store.setClient(client)
    },

    recordBusy: (builder, probe, kind) => {
      store.record(builder, [notAttempted('busy', builder, probe, kind)])
    },
    recordSkipped: (builder, probes, kind, params) => {
      store.record(
        builder,
        probes.map(probe => notAttempted('skipped', builder, probe, kind, params)),
      )
    },
    endpoints,
    isConnected: builder => connections.get(builder) !== undefined,
    disconnect: builder => connections.replace(builder, null),
    close: () => connections.closeAll(),
  }
  return monitor
}

/** Returns the newest login of each builder, by name. */
const loginsByBuilder = ({ builders }: Snapshot): ReadonlyMap<string, LoginValue> =>
  new Map(
    [...builders].flatMap(([name, state]): [string, LoginValue][] => {
      const login = lastValue(state, 'login')
      return login ? [[name, login]] : []
    }),
  )

/** Returns which machine a login reached: its address and host key. Null behind a proxy, which may lead elsewhere next time. */
const serverOf = (login: Outcome): string | null => {
  // The record of a login holds values of logins; TypeScript loses that through the results
  const value = 'value' in login ? (login.value as LoginValue | undefined) : null
  const address = value?.via?.match(/^[0-9a-f.:]+ port \d+$/i)?.[0]
  return address && value?.hostKey ? `${address} ${value.hostKey.fingerprint}` : null
}

/** Timeouts before the authentication: a slow account is no reason to keep builds away. */
const connectTimeouts: ReadonlySet<Kind> = new Set<Kind>([
  'tcp_timeout',
  'banner_timeout',
  'kex_timeout',
])

/** For probes that use the local Nix or this machine's files only. */
const noRemote: Remote = {
  open: () => Promise.reject(new Error('this probe opens no channel')),
}

const skipReason = (login: Outcome): [Kind, Params?] =>
  login.status === 'skipped' && login.kind === 'not_ssh_store'
    ? ['not_ssh_store']
    : ['dependency_failed', { waitsFor: 'login' }]
