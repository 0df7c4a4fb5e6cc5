import {
  noTrace,
  type Builder,
  type Connection,
  type Kind,
  type LocalNix,
  type Outcome,
  type Params,
  type Probe,
  type ProbeContext,
  type ProbeName,
  type ProbeValues,
  type Remote,
  type Result,
  type TelemetryProbe,
  type Trace,
} from '../model/index.ts'
import { builderParams } from '../diagnosis/params.ts'
import { isReachedBySsh } from '../nix/machines/store-uri.ts'
import { readTelemetry, telemetryTimeoutMs } from '../probes/telemetry/telemetry.ts'
import type { Traces } from '../state/traces.ts'
import { attempt, withParams } from './attempt.ts'
import type { MonitorPorts } from './system-ports.ts'
import { traceRemote, traceRun } from './tracing.ts'

export interface ProbeRunnerDeps {
  readonly ports: MonitorPorts
  readonly nix: () => LocalNix
  readonly traces: Traces
  /** Returns the newest value of a probe of a builder, null when there is none. */
  readonly last: <P extends ProbeName>(
    builder: Builder,
    probe: P,
  ) => ProbeValues[P] | null
}

/** Runs single attempts: with a deadline, a trace and the parameters of the builder. Records nothing. */
export interface ProbeRunner {
  /** Opens a new login. The connection is null when it failed. */
  dial(
    builder: Builder,
    signal: AbortSignal,
  ): Promise<{ readonly login: Result; readonly connection: Connection | null }>
  runProbe<P extends ProbeName>(
    builder: Builder,
    probe: Probe<P>,
    remote: Remote,
    signal: AbortSignal,
  ): Promise<Result>
  /** Runs telemetry fragments in one attempt. Each probe gets its own result, with the duration of the whole attempt. */
  runTelemetry(
    builder: Builder,
    due: readonly TelemetryProbe<ProbeName>[],
    remote: Remote,
    signal: AbortSignal,
  ): Promise<readonly Result[]>
  /** Returns the result of a probe that was not attempted. */
  notAttempted(
    status: 'skipped' | 'busy',
    builder: Builder,
    probe: ProbeName,
    kind: Kind,
    params?: Params,
  ): Result
}

const loginTimeoutMs = 20_000

export const createProbeRunner = (deps: ProbeRunnerDeps): ProbeRunner => {
  const { ports, nix, traces, last } = deps
  const { clock } = ports

  const contextFor = (
    builder: Builder,
    remote: Remote,
    signal: AbortSignal,
    trace: Trace,
  ): ProbeContext => ({
    builder,
    remote: trace === noTrace ? remote : traceRemote(remote, trace),
    run: trace === noTrace ? ports.run : traceRun(ports.run, trace),
    clock,
    signal,
    trace,
    nix: nix(),
    last: probe => last(builder, probe),
  })

  return {
    dial: async (builder, signal) => {
      let connection: Connection | null = null
      let isFinished = false
      const recording = traces.start()
      const login = await attempt({
        probe: 'login',
        timeoutMs: loginTimeoutMs,
        params: builderParams(builder),
        clock,
        signal,
        run: async deadline => {
          if (!isReachedBySsh(builder))
            return { status: 'skipped', kind: 'not_ssh_store', params: {} }
          const dialResult = await ports.dial(builder, deadline, recording.trace)
          // A dial that ignores its deadline must not leave an open connection
          if (isFinished) dialResult.connection?.close()
          else connection = dialResult.connection
          return dialResult.outcome
        },
      })
      isFinished = true
      traces.save(builder.name, [login], recording)
      return { login, connection }
    },

    runProbe: async (builder, probe, remote, signal) => {
      const recording = traces.start()
      const result = await attempt<unknown>({
        probe: probe.name,
        timeoutMs: probe.timeoutMs,
        params: builderParams(builder),
        clock,
        signal,
        run: deadline =>
          probe.run(contextFor(builder, remote, deadline, recording.trace)),
      })
      traces.save(builder.name, [result], recording)
      return result
    },

    runTelemetry: async (builder, due, remote, signal) => {
      const recording = traces.start()
      const params = builderParams(builder)
      let outcomes: ReadonlyMap<ProbeName, Outcome> = new Map()
      const batch = await attempt<null>({
        probe: due[0]!.name,
        timeoutMs: telemetryTimeoutMs,
        params,
        clock,
        signal,
        run: async deadline => {
          const context = contextFor(builder, remote, deadline, recording.trace)
          outcomes = await readTelemetry(due, context)
          return { status: 'ok', value: null }
        },
      })
      const results = due.map(({ name }) => ({
        ...batch,
        probe: name,
        outcome: withParams(outcomes.get(name) ?? batch.outcome, params),
      }))
      traces.save(builder.name, results, recording)
      return results
    },

    notAttempted: (status, builder, probe, kind, params = {}) => ({
      probe,
      outcome: { status, kind, params: { ...builderParams(builder), ...params } },
      at: clock.now() / 1000,
      durationSeconds: 0,
    }),
  }
}
