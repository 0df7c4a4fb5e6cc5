import {
  noTrace,
  type AskLocalDaemon,
  type Builder,
  type Clock,
  type Connection,
  type Dial,
  type LocalNix,
  type Outcome,
  type Probe,
  type ProbeContext,
  type ProbeName,
  type Remote,
  type Result,
  type Run,
  type TelemetryProbe,
  type Kind,
  type Params,
  type Trace,
} from '../model/index.ts'
import { findBlockingLock } from '../diagnosis/blocking-lock.ts'
import { formatMessage } from '../diagnosis/kinds/index.ts'
import { isReachedBySsh } from '../nix/machines/store-uri.ts'
import { builderParams } from '../diagnosis/params.ts'
import { createCanaryProbe, type CanaryDeps } from '../probes/canary.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { directProbe } from '../probes/direct.ts'
import { loginProbes, telemetryProbes } from '../probes/index.ts'
import { createSlotsProbe, type SlotsDeps } from '../probes/slots.ts'
import { readTelemetry, telemetryTimeoutMs } from '../probes/telemetry/telemetry.ts'
import { attempt, withParams } from './attempt.ts'
import { lastValue, type Store } from '../state/store.ts'
import { traceRemote, traceRun } from './tracing.ts'
import { noTraces, type Traces } from '../state/traces.ts'

export interface EngineDeps {
  readonly store: Store
  readonly dial: Dial
  readonly run: Run
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
  readonly askLocalDaemon: AskLocalDaemon
  readonly testsFeatures: CanaryDeps['testsFeatures']
  readonly checkSlots: SlotsDeps
  /** Where the course of each attempt is written down; nowhere by default. */
  readonly traces?: Traces
  /** Called when a kept connection breaks by itself. */
  readonly onConnectionLost?: (builder: Builder, reason: string) => void
}

/** Builders, probes and state joined: each function makes attempts and records what they found. */
export interface Engine {
  /** A fresh login with the trust question; the new connection replaces the kept one. True when Nix answered. */
  checkLogin(builder: Builder, signal: AbortSignal): Promise<boolean>
  /** The due telemetry with one remote command over the kept connection. */
  checkTelemetry(
    builder: Builder,
    probes: readonly ProbeName[],
    signal: AbortSignal,
  ): Promise<void>
  /** A canary; where it fails, or where there is no local Nix for it, the direct build too. */
  runCanary(builder: Builder, mode: CanaryMode, signal: AbortSignal): Promise<void>
  /** Which slots of the builder this machine holds; the connection takes no part. */
  checkSlots(builder: Builder, signal: AbortSignal): Promise<void>
  /** Records that a canary would have to wait for a slot. */
  recordBusy(builder: Builder, probe: ProbeName, kind: Kind): void
  /** Records that rungs were not tried, and why. */
  recordSkipped(
    builder: Builder,
    probes: readonly ProbeName[],
    kind: Kind,
    params?: Params,
  ): void
  /** Is there a kept connection? */
  isConnected(builder: Builder): boolean
  disconnect(builder: Builder): void
  close(): void
}

const loginTimeoutMs = 20_000

export const createEngine = (deps: EngineDeps): Engine => {
  const { store, clock, traces = noTraces } = deps
  const connections = new Map<string, Connection>()
  const slotsProbe = createSlotsProbe(deps.checkSlots)

  const replaceConnection = (builder: Builder, connection: Connection | null) => {
    const before = connections.get(builder.name)
    if (connection) connections.set(builder.name, connection)
    else connections.delete(builder.name)
    before?.close()
    void connection?.closed.then(reason => {
      if (connections.get(builder.name) !== connection) return
      connections.delete(builder.name)
      deps.onConnectionLost?.(builder, reason)
    })
  }

  const contextOf = (
    builder: Builder,
    remote: Remote,
    signal: AbortSignal,
    trace: Trace,
  ): ProbeContext => ({
    builder,
    remote: trace === noTrace ? remote : traceRemote(remote, trace),
    run: trace === noTrace ? deps.run : traceRun(deps.run, trace),
    clock,
    signal,
    trace,
    nix: deps.nix(),
    last: probe => lastValue(store.read().builders.get(builder.name), probe),
  })

  const probe = async <P extends ProbeName>(
    builder: Builder,
    one: Probe<P>,
    remote: Remote,
    signal: AbortSignal,
  ): Promise<Result> => {
    const recording = traces.start()
    const result = await attempt<unknown>({
      probe: one.name,
      timeoutMs: one.timeoutMs,
      params: builderParams(builder),
      clock,
      signal,
      run: deadline => one.run(contextOf(builder, remote, deadline, recording.trace)),
    })
    traces.save(builder.name, [result], recording)
    return result
  }

  const notAttempted = (
    status: 'skipped' | 'busy',
    builder: Builder,
    name: ProbeName,
    kind: Kind,
    params: Params = {},
  ): Result => ({
    probe: name,
    outcome: withParams({ status, kind, params }, builderParams(builder)),
    at: clock.now() / 1000,
    durationSeconds: 0,
  })

  /** A build that hangs without a word: the builder's locks, asked at once, may tell what it waits for. */
  const explainTimeout = async (
    builder: Builder,
    result: Result,
    signal: AbortSignal,
  ): Promise<Result> => {
    const { outcome } = result
    if (outcome.status !== 'failed' || !outcome.params['hangs']) return result
    const asked = clock.now() / 1000
    await engine.checkTelemetry(builder, ['locks'], signal)
    const locks = store.read().builders.get(builder.name)?.probes.locks?.last
    if (!locks || locks.at < asked || locks.outcome.status !== 'ok') return result
    const heldUp = findBlockingLock(locks.outcome.value, clock.now() / 1000)
    return heldUp === null
      ? result
      : { ...result, outcome: withParams(heldUp, builderParams(builder)) }
  }

  const engine: Engine = {
    checkLogin: async (builder, signal) => {
      let connection: Connection | null = null
      let isFinished = false
      const recording = traces.start()
      const checkLogin = await attempt({
        probe: 'login',
        timeoutMs: loginTimeoutMs,
        params: builderParams(builder),
        clock,
        signal,
        run: async deadline => {
          if (!isReachedBySsh(builder))
            return { status: 'skipped', kind: 'not_ssh_store', params: {} }
          const dialResult = await deps.dial(builder, deadline, recording.trace)
          // A dial that did not obey its deadline must not leave a connection that nobody knows
          if (isFinished) dialResult.connection?.close()
          else connection = dialResult.connection
          return dialResult.outcome
        },
      })
      isFinished = true
      traces.save(builder.name, [checkLogin], recording)
      replaceConnection(builder, connection)
      const remote = connections.get(builder.name)
      const others = remote
        ? await Promise.all(loginProbes.map(one => probe(builder, one, remote, signal)))
        : loginProbes.map(({ name }) =>
            notAttempted('skipped', builder, name, ...skipReason(checkLogin.outcome)),
          )
      if (signal.aborted) return false
      store.record(builder, [checkLogin, ...others])
      return others.every(
        ({ outcome }) => outcome.status === 'ok' || outcome.status === 'degraded',
      )
    },

    checkTelemetry: async (builder, names, signal) => {
      const due = telemetryProbes.filter(({ name }) => names.includes(name))
      const remote = connections.get(builder.name)
      if (!remote || due.length === 0) return
      const recording = traces.start()
      const context = contextOf(builder, remote, signal, recording.trace)
      const results = await checkTelemetryBatch(builder, due, context)
      traces.save(builder.name, results, recording)
      if (!signal.aborted) store.record(builder, results)
    },

    runCanary: async (builder, mode, signal) => {
      const found = await explainTimeout(
        builder,
        await probe(builder, createCanaryProbe(mode, deps), noRemote, signal),
        signal,
      )
      const before = store.read().builders.get(builder.name)?.probes.canary
      const result =
        mode === 'daemon' && before?.streak.ok ? asClientMismatch(found) : found
      if (signal.aborted) return
      store.record(builder, [result])
      const { outcome } = result
      const open =
        outcome.status === 'failed' ||
        (outcome.status === 'skipped' && outcome.kind === 'no_local_nix')
      const remote = connections.get(builder.name)
      if (!open || !remote) return
      const direct = await explainTimeout(
        builder,
        await probe(builder, directProbe, remote, signal),
        signal,
      )
      if (!signal.aborted) store.record(builder, [direct])
    },

    checkSlots: async (builder, signal) => {
      const result = await probe(builder, slotsProbe, noRemote, signal)
      if (!signal.aborted) store.record(builder, [result])
    },

    recordBusy: (builder, name, kind) =>
      store.record(builder, [notAttempted('busy', builder, name, kind)]),
    recordSkipped: (builder, names, kind, params) =>
      store.record(
        builder,
        names.map(name => notAttempted('skipped', builder, name, kind, params)),
      ),
    isConnected: builder => connections.has(builder.name),
    disconnect: builder => replaceConnection(builder, null),
    close: () => {
      const all = [...connections.values()]
      connections.clear()
      for (const connection of all) connection.close()
    },
  }
  return engine
}

/** Where our own canary works and the daemon's does not, the builder is well and this machine is at odds with itself. */
const asClientMismatch = (result: Result): Result =>
  result.outcome.status !== 'failed'
    ? result
    : {
        ...result,
        outcome: {
          ...result.outcome,
          status: 'degraded',
          kind: 'client_mismatch',
          value: result.outcome.value,
          params: {
            ...result.outcome.params,
            detail: `through nix-daemon: ${formatMessage(result.outcome.kind, result.outcome.params)}`,
          },
        },
      }

/** What goes through the local Nix, or only looks at this machine, has no connection of ours. */
const noRemote: Remote = {
  open: () => Promise.reject(new Error('this probe opens no channel')),
}

const skipReason = (checkLogin: Outcome): [Kind, Params?] =>
  checkLogin.status === 'skipped'
    ? ['not_ssh_store']
    : ['dependency_failed', { waitsFor: 'login' }]

/** All due fragments in one attempt; each gets its own result with the time of the whole. */
const checkTelemetryBatch = async (
  builder: Builder,
  due: readonly TelemetryProbe<ProbeName>[],
  context: ProbeContext,
): Promise<Result[]> => {
  const params = builderParams(builder)
  let outcomes: ReadonlyMap<ProbeName, Outcome> = new Map()
  const whole = await attempt<null>({
    probe: due[0]!.name,
    timeoutMs: telemetryTimeoutMs,
    params,
    clock: context.clock,
    signal: context.signal,
    run: async deadline => {
      outcomes = await readTelemetry(due, { ...context, signal: deadline })
      return { status: 'ok', value: null }
    },
  })
  return due.map(({ name }) => ({
    ...whole,
    probe: name,
    outcome: withParams(outcomes.get(name) ?? whole.outcome, params),
  }))
}
