import {
  noTrace,
  type Builder,
  type Connection,
  type Deadline,
  type Kind,
  type LocalNix,
  type LoginValue,
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
import { degradeIfSlow, isTimeout, slowLoginKind } from '../diagnosis/timeouts.ts'
import { isReachedBySsh } from '../nix/machines/store-uri.ts'
import { telemetryProbes } from '../probes/index.ts'
import { createKeptShells, type KeptShell } from '../probes/telemetry/kept-shell.ts'
import { readTelemetry, telemetryTimeoutMs } from '../probes/telemetry/telemetry.ts'
import type { Traces } from '../state/traces.ts'
import { attempt, withParams } from './attempt.ts'
import type { MonitorPorts } from './system-ports.ts'
import { traceRemote, traceRun } from './tracing.ts'

export interface ProbeRunnerDeps {
  readonly ports: MonitorPorts
  readonly nix: () => LocalNix
  readonly traces: Traces
  /** Called when the expected deadline of a login has passed, before it is repeated with the hard one. */
  readonly onFirstTimeout: (builder: Builder, kind: Kind) => void
  /** Returns the newest value of a probe of a builder, null when there is none. */
  readonly last: <P extends ProbeName>(
    builder: Builder,
    probe: P,
  ) => ProbeValues[P] | null
}

/** Runs single attempts: with a deadline, a trace and the parameters of the builder. Records nothing. */
export interface ProbeRunner {
  /** Opens a new login; repeats it once with the hard deadline after a timeout. The connection is null when it failed. */
  dial(
    builder: Builder,
    signal: AbortSignal,
  ): Promise<{ readonly login: Result; readonly connection: Connection | null }>
  /** Runs a probe; repeats it once after a timeout, when it has a hard deadline. */
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
  /** Gives a channel of the remote back that is kept for telemetry. */
  releaseShell(remote: Remote): Promise<void>
  /** Returns the result of a probe that was not attempted. */
  notAttempted(
    status: 'skipped' | 'busy',
    builder: Builder,
    probe: ProbeName,
    kind: Kind,
    params?: Params,
  ): Result
}

/** Deadlines of a login, milliseconds. They leave time to confirm a failure with OpenSSH. */
const loginTimeoutMs: Readonly<Record<Deadline, number>> = {
  expected: 20_000,
  hard: 90_000,
}
/** Deadline for the explanation of a failure, milliseconds. */
const explainTimeoutMs = 30_000
/** A working login that takes longer is slow, milliseconds. */
const expectedLoginMs = 10_000

export const createProbeRunner = (deps: ProbeRunnerDeps): ProbeRunner => {
  const { ports, nix, traces, last } = deps
  const { clock } = ports

  const shells = createKeptShells(telemetryProbes)
  /**
   * Null before a command has run there, which says why there is no shell; for slow probes, which would block it; and for OpenSSH,
   * of which a process would stay.
   */
  const shellOf = (
    builder: Builder,
    remote: Remote,
    due: readonly TelemetryProbe<ProbeName>[],
  ): KeptShell | null =>
    last(builder, 'login')?.transport === 'ssh2' &&
    telemetryProbes.some(({ name }) => last(builder, name)) &&
    due.every(probe => telemetryProbes.includes(probe))
      ? shells.of(remote)
      : null
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

  const dialOnce = async (builder: Builder, signal: AbortSignal, limit: Deadline) => {
    let connection: Connection | null = null
    let isFinished = false
    const recording = traces.start()
    const login = await attempt<LoginValue>({
      probe: 'login',
      timeoutMs: loginTimeoutMs[limit],
      params: builderParams(builder),
      clock,
      signal,
      run: async deadline => {
        if (!isReachedBySsh(builder))
          return { status: 'skipped', kind: 'not_ssh_store', params: {} }
        const result = await ports.dial(builder, deadline, recording.trace, limit)
        // A dial that ignores its deadline must not leave an open connection
        if (isFinished) result.connection?.close()
        else connection = result.connection
        return result.outcome
      },
    })
    isFinished = true
    const result = degradeIfSlow(
      login,
      expectedLoginMs,
      slowLoginKind,
      builderParams(builder),
    )
    traces.save(builder.name, [result], recording)
    return { login: result, connection }
  }

  const runOnce = async <P extends ProbeName>(
    builder: Builder,
    probe: Probe<P>,
    remote: Remote,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<Result<ProbeValues[P]>> => {
    const recording = traces.start()
    const result = await attempt<ProbeValues[P]>({
      probe: probe.name,
      timeoutMs,
      params: builderParams(builder),
      clock,
      signal,
      run: deadline => probe.run(contextFor(builder, remote, deadline, recording.trace)),
    })
    traces.save(builder.name, [result], recording)
    return result
  }

  const runWithDeadlines = async <P extends ProbeName>(
    builder: Builder,
    probe: Probe<P>,
    remote: Remote,
    signal: AbortSignal,
  ): Promise<Result<ProbeValues[P]>> => {
    const { timeoutMs, hardTimeoutMs } = probe
    const first = await runOnce(builder, probe, remote, signal, timeoutMs)
    if (hardTimeoutMs === undefined || !isTimeout(first.outcome) || signal.aborted)
      return first
    const second = await runOnce(builder, probe, remote, signal, hardTimeoutMs)
    return degradeIfSlow(second, timeoutMs, () => 'slow_login', builderParams(builder))
  }

  return {
    dial: async (builder, signal) => {
      const first = await dialOnce(builder, signal, 'expected')
      const { outcome } = first.login
      if (!isTimeout(outcome) || signal.aborted) return first
      if ('kind' in outcome) deps.onFirstTimeout(builder, outcome.kind)
      return dialOnce(builder, signal, 'hard')
    },

    runProbe: async (builder, probe, remote, signal) => {
      const result = await runWithDeadlines(builder, probe, remote, signal)
      const { outcome } = result
      if (outcome.status !== 'failed' || !probe.explain || signal.aborted) return result
      const { value: _, ...failure } = outcome
      const explain = async (context: ProbeContext) =>
        (await probe.explain?.(context, failure)) ?? failure
      const explained = await runOnce(
        builder,
        { ...probe, run: explain },
        remote,
        signal,
        explainTimeoutMs,
      )
      return { ...result, outcome: explained.outcome }
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
          const shell = shellOf(builder, remote, due)
          if (!shell) await shells.release(remote)
          outcomes = await readTelemetry(due, context, shell)
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

    releaseShell: shells.release,

    notAttempted: (status, builder, probe, kind, params = {}) => ({
      probe,
      outcome: { status, kind, params: { ...builderParams(builder), ...params } },
      at: clock.now() / 1000,
      durationSeconds: 0,
    }),
  }
}
