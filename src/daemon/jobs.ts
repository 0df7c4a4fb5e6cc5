import type { Config } from '../config/config.ts'
import { usesOwnSubstituters } from '../engine/check-once.ts'
import type { Monitor } from '../engine/monitor.ts'
import type { Builder, ProbeName } from '../model/index.ts'
import { expectedBuildMs } from '../probes/canary.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { telemetryNames } from '../probes/index.ts'
import { isFull } from '../probes/slots.ts'
import type { Job } from '../schedule/scheduler.ts'
import { minMiBPerSecond } from './context.ts'
import {
  canaryBlocker,
  canaryRetryDelayMs,
  keepsConnection,
  loginBackoffMs,
  needsCanary,
  nextLoginDelayMs,
} from './job-policy.ts'

export interface JobDeps {
  readonly monitor: Monitor
  readonly config: () => Config
  /** Unix seconds. */
  readonly now: () => number
  /** Requests a run outside the schedule. */
  readonly runOnce: (job: JobName, builder: Builder, delayMs: number) => void
  readonly random: () => number
}

export type JobName =
  | 'login'
  | 'telemetry'
  | 'substituters'
  | 'throughput'
  | 'canary'
  | 'slots'
  | 'daemonCanary'

/** Longer than a login of a working builder takes, milliseconds. */
const expectedMs = 6000
/** Longer than any measurement of a link takes, milliseconds. */
const measurementMs = 600_000

/** Returns the jobs of the daemon: what is done for each builder on schedule. Decisions are in job-policy.ts. */
export const createJobs = (deps: JobDeps): readonly Job[] => {
  const { schedule, jitter, concurrency } = deps.config()
  const { keyOf } = deps.monitor.endpoints
  const job = (name: JobName, rest: Omit<Job, 'name'>): Job => ({ name, ...rest })
  return [
    job('login', {
      times: { login: schedule.login },
      jitter,
      concurrency: concurrency.logins,
      expectedMs,
      // sshd's MaxStartups counts all logins to a host, also those of its other names
      exclusiveKey: keyOf,
      run: (builder, _, signal) => runLogin(deps, builder, signal),
    }),
    job('telemetry', {
      times: { system: schedule.system, disk: schedule.disk, memory: schedule.memory },
      jitter: 0,
      concurrency: 2 * concurrency.logins,
      expectedMs,
      exclusiveKey: builder => builder.name,
      run: (builder, due, signal) => runTelemetry(deps, builder, due, signal),
    }),
    job('substituters', {
      times: { substituters: schedule.substituters },
      jitter,
      concurrency: concurrency.logins,
      expectedMs,
      exclusiveKey: builder => builder.name,
      run: (builder, _, signal) => runSubstituters(deps, builder, signal),
    }),
    job('throughput', {
      times: { throughput: schedule.throughput },
      jitter,
      // Measurements at the same time would measure each other
      concurrency: 1,
      expectedMs: measurementMs,
      exclusiveKey: keyOf,
      run: (builder, _, signal) => runThroughput(deps, builder, signal),
    }),
    job('canary', {
      times: { canary: schedule.canary },
      jitter,
      concurrency: concurrency.canaries,
      expectedMs: expectedBuildMs,
      exclusiveKey: keyOf,
      run: (builder, _, signal) =>
        runCanary(deps, builder, deps.config().canary.mode, signal),
    }),
    job('slots', {
      times: { slots: schedule.slots },
      jitter: 0,
      concurrency: 4 * concurrency.logins,
      expectedMs,
      exclusiveKey: builder => builder.name,
      run: (builder, _, signal) => deps.monitor.checkSlots(builder, signal),
    }),
    job('daemonCanary', {
      times: { daemonCanary: schedule.daemonCanary },
      jitter,
      concurrency: 1,
      expectedMs: expectedBuildMs,
      exclusiveKey: keyOf,
      run: (builder, _, signal) => runDaemonCanary(deps, builder, signal),
    }),
  ]
}

const stateOf = ({ monitor }: JobDeps, builder: Builder) =>
  monitor.store.read().builders.get(builder.name)

/** A drained builder is not probed: it can be taken apart. */
const isDrained = (deps: JobDeps, builder: Builder): boolean =>
  deps.config().builders[builder.name]?.drained === true ||
  stateOf(deps, builder)?.drain !== undefined

const runLogin = async (
  deps: JobDeps,
  builder: Builder,
  signal: AbortSignal,
): Promise<void> => {
  const { monitor, runOnce, random, now } = deps
  const config = deps.config()
  const overrides = config.builders[builder.name]
  const before = stateOf(deps, builder)
  if (isDrained(deps, builder)) return monitor.disconnect(builder)
  const backoffMs = loginBackoffMs(before, now())
  // An earlier scheduled run may have replaced the one that was requested for the end of the back-off
  if (backoffMs > 0) return runOnce('login', builder, backoffMs)
  const login = await monitor.checkLogin(builder, signal)
  if (!login) return
  const keeps = keepsConnection(config, overrides)
  if (monitor.isConnected(builder) && (!keeps || !before?.probes.disk))
    await monitor.checkTelemetry(builder, telemetryNames, signal)
  if (!keeps) monitor.disconnect(builder)
  const after = stateOf(deps, builder)
  if (!after || signal.aborted) return
  const delayMs = nextLoginDelayMs(after, login.isUsable, now(), random)
  if (delayMs !== null) runOnce('login', builder, delayMs)
  if (login.isUsable && needsCanary(after, now())) runOnce('canary', builder, 0)
  if (login.isUsable && !after.probes.throughput) runOnce('throughput', builder, 0)
  if (login.isUsable && !after.probes.substituters) runOnce('substituters', builder, 0)
}

const runTelemetry = async (
  deps: JobDeps,
  builder: Builder,
  due: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> => {
  if (isDrained(deps, builder)) return
  const names = telemetryNames.filter(name => due.has(scheduledWith[name] ?? name))
  await deps.monitor.checkTelemetry(builder, names, signal)
}

/** Probes without a schedule of their own. */
const scheduledWith: Readonly<Partial<Record<ProbeName, string>>> = {
  locks: 'disk',
  sessions: 'system',
}

/** Only with builders-use-substitutes does a builder use its own substituters for our builds. */
const runSubstituters = async (
  deps: JobDeps,
  builder: Builder,
  signal: AbortSignal,
): Promise<void> => {
  const { monitor } = deps
  if (usesOwnSubstituters(monitor.nix()) && !isDrained(deps, builder))
    await monitor.checkTelemetry(builder, ['substituters'], signal)
}

const runThroughput = async (
  deps: JobDeps,
  builder: Builder,
  signal: AbortSignal,
): Promise<void> => {
  const { monitor, config } = deps
  if (isDrained(deps, builder)) return
  if (minMiBPerSecond(config(), builder.name) > 0)
    await monitor.checkThroughput(builder, signal)
}

const runDaemonCanary = async (
  deps: JobDeps,
  builder: Builder,
  signal: AbortSignal,
): Promise<void> => {
  const daemon = await deps.monitor.askLocalDaemon(signal)
  // A daemon that does not trust us ignores --builders
  if (daemon.answers && daemon.trusted) await runCanary(deps, builder, 'daemon', signal)
}

const runCanary = async (
  deps: JobDeps,
  builder: Builder,
  mode: CanaryMode,
  signal: AbortSignal,
): Promise<void> => {
  const { monitor, now, runOnce } = deps
  const { canary, builders } = deps.config()
  const overrides = builders[builder.name]
  const state = stateOf(deps, builder)
  if (isDrained(deps, builder) || !state) return
  const isEnabled = canary.enabled && overrides?.canary !== false
  const blocker = canaryBlocker(state, mode, isEnabled, now())
  if (blocker)
    return monitor.recordSkipped(builder, ['canary'], blocker.kind, blocker.params)
  // A canary through the daemon takes one of Nix's slots, a private one does not
  if (mode === 'daemon') {
    await monitor.checkSlots(builder, signal)
    const slots = stateOf(deps, builder)?.probes.slots?.last.outcome
    if (slots && 'value' in slots && slots.value && isFull(slots.value))
      return monitor.recordBusy(builder, 'canary', 'slots_full')
  }
  await monitor.runCanary(builder, mode, signal)
  const after = stateOf(deps, builder)
  const delayMs = after && canaryRetryDelayMs(after)
  if (delayMs != null) runOnce('canary', builder, delayMs)
}
