import type { Config } from '../config/config.ts'
import type { Engine } from '../engine/engine.ts'
import type {
  Kind,
  Params,
  AskLocalDaemon,
  Builder,
  BuilderState,
  ProbeName,
  Snapshot,
} from '../model/index.ts'
import type { CanaryMode } from '../probes/canary/sandbox.ts'
import { formatBytes } from '../text/bytes.ts'
import { isFull } from '../probes/slots.ts'
import type { Job } from '../schedule/scheduler.ts'

export interface JobDeps {
  readonly engine: Engine
  readonly read: () => Snapshot
  readonly config: () => Config
  /** Unix seconds. */
  readonly now: () => number
  /** Asks for a job out of its turn. */
  readonly runOnce: (job: JobName, builder: Builder, delayMs: number) => void
  readonly random: () => number
  readonly askLocalDaemon: AskLocalDaemon
}

export type JobName = 'login' | 'telemetry' | 'canary'

/** Failures by which every further try is held against us (OpenSSH 9.8 PerSourcePenalties). */
const authKinds: ReadonlySet<Kind> = new Set<Kind>([
  'auth_denied',
  'key_missing',
  'key_unreadable',
  'key_encrypted',
  'key_permissions',
])
/** Seconds to wait after the first, second and every later auth failure in a row. */
const authBackoffSeconds = [60, 300, 900] as const
/** A second sight after a surprise: late enough for the verdict (5 s), early enough to be news. */
const confirmationDelayMs = 6000
const canaryRetryMs = 60_000
/** With less than this above min-free the canary itself would start a garbage collection. */
const canaryHeadroomBytes = 64 * 1024 * 1024
const daySeconds = 86_400
const telemetryProbes: readonly ProbeName[] = ['system', 'disk', 'memory', 'locks']

/** The work of the daemon: what is done for a builder when its turn comes, and what follows from what was found. */
export const createJobs = (deps: JobDeps): readonly Job[] => {
  const { schedule, jitter, concurrency } = deps.config()
  return [
    {
      name: 'login',
      times: { login: schedule.login },
      jitter,
      concurrency: concurrency.logins,
      // MaxStartups of a host counts all of its logins
      exclusiveKey: hostAndPort,
      run: (builder, _, signal) => loginJob(deps, builder, signal),
    },
    {
      name: 'telemetry',
      times: { system: schedule.system, disk: schedule.disk, memory: schedule.memory },
      jitter: 0,
      concurrency: 2 * concurrency.logins,
      exclusiveKey: builder => builder.name,
      run: async (builder, due, signal) => {
        if (builderOverrides(deps, builder)?.drained) return
        // What is locked has no schedule of its own
        const names = telemetryProbes.filter(name =>
          due.has(name === 'locks' ? 'disk' : name),
        )
        await deps.engine.checkTelemetry(builder, names, signal)
      },
    },
    {
      name: 'canary',
      times: { canary: schedule.canary },
      jitter,
      concurrency: concurrency.canaries,
      exclusiveKey: hostAndPort,
      run: (builder, _, signal) =>
        canaryJob(deps, builder, deps.config().canary.mode, signal),
    },
    {
      name: 'slots',
      times: { slots: schedule.slots },
      jitter: 0,
      concurrency: 4 * concurrency.logins,
      exclusiveKey: builder => builder.name,
      run: (builder, _, signal) => deps.engine.checkSlots(builder, signal),
    },
    {
      name: 'daemonCanary',
      times: { daemonCanary: schedule.daemonCanary },
      jitter,
      concurrency: 1,
      exclusiveKey: hostAndPort,
      run: async (builder, _, signal) => {
        // Where the daemon does not let us aim it, the private canary has to do
        const daemon = await deps.askLocalDaemon(signal)
        if (daemon.answers && daemon.trusted)
          await canaryJob(deps, builder, 'daemon', signal)
      },
    },
  ]
}

/** Demo builders and tunnels share a host and differ in port. */
const hostAndPort = (builder: Builder): string =>
  builder.host === null ? builder.name : `${builder.host}:${builder.port ?? 22}`

const builderOverrides = (deps: JobDeps, builder: Builder) =>
  deps.config().builders[builder.name]

const loginJob = async (
  deps: JobDeps,
  builder: Builder,
  signal: AbortSignal,
): Promise<void> => {
  const { engine, runOnce, random } = deps
  const overrides = builderOverrides(deps, builder)
  if (overrides?.drained) return engine.disconnect(builder)
  const before = deps.read().builders.get(builder.name)
  if (before && authBackoffUntil(before) > deps.now()) return
  const answers = await engine.checkLogin(builder, signal)
  if (signal.aborted) return
  const keeps = deps.config().keepConnections && overrides?.expect !== 'asleep'
  if (engine.isConnected(builder) && (!keeps || !before?.probes.disk))
    await engine.checkTelemetry(builder, telemetryProbes, signal)
  if (!keeps) engine.disconnect(builder)

  const after = deps.read().builders.get(builder.name)
  if (!after || signal.aborted) return
  const waitUntil = authBackoffUntil(after)
  const { state } = after.health
  if (waitUntil > deps.now())
    runOnce('login', builder, (waitUntil - deps.now() + 1) * 1000)
  // A store that is not reached by ssh has no login to see again
  else if (after.probes.login?.last.outcome.status === 'skipped') return
  // The verdict wants to see a change twice
  else if (answers ? state === 'down' : state !== 'down' && state !== 'asleep')
    runOnce('login', builder, confirmationDelayMs + random() * 2000)
  if (answers && needsCanary(after)) runOnce('canary', builder, 0)
}

/** Unix time before which no login may be tried again; 0 where nothing forbids it. */
const authBackoffUntil = ({ probes }: BuilderState): number => {
  const record = probes.login
  const outcome = record?.conclusive?.outcome
  if (!record || outcome?.status !== 'failed' || !authKinds.has(outcome.kind)) return 0
  const wait =
    authBackoffSeconds[Math.min(record.streak.count, authBackoffSeconds.length) - 1] ??
    authBackoffSeconds[2]
  return record.last.at + wait
}

/** The first canary, one that had to wait for this login, or one whose failure may be over now. */
const needsCanary = ({ probes }: BuilderState): boolean => {
  const { canary, login } = probes
  if (!canary) return true
  const { outcome } = canary.last
  if (outcome.status === 'skipped') return outcome.kind === 'dependency_failed'
  return outcome.status === 'failed' && login?.streak.count === 1
}

const canaryJob = async (
  deps: JobDeps,
  builder: Builder,
  mode: CanaryMode,
  signal: AbortSignal,
): Promise<void> => {
  const { engine } = deps
  const { canary } = deps.config()
  const overrides = builderOverrides(deps, builder)
  if (overrides?.drained) return
  const skip = (kind: Kind, params: Params) =>
    engine.recordSkipped(builder, ['canary'], kind, params)
  if (!canary.enabled || overrides?.canary === false)
    return skip('not_requested', { detail: 'turned off by the configuration' })
  const before = deps.read().builders.get(builder.name)
  const waitsFor = before && failedPrerequisite(before, mode)
  if (waitsFor) return skip('dependency_failed', { waitsFor })
  const space = before && lowSpace(before, deps.now())
  if (space) return skip('below_min_free', space)
  // A private canary takes no slot of Nix's; the daemon would wait for one
  if (mode === 'daemon') {
    await engine.checkSlots(builder, signal)
    const slots = lastSlots(deps.read().builders.get(builder.name))
    if (slots && isFull(slots)) return engine.recordBusy(builder, 'canary', 'slots_full')
  }
  await engine.runCanary(builder, mode, signal)
  const record = deps.read().builders.get(builder.name)?.probes.canary
  if (record?.last.outcome.status === 'failed' && record.streak.count < 3)
    deps.runOnce('canary', builder, canaryRetryMs)
}

/** The rung that a canary needs and that is broken now. Stores that are not reached over SSH need none. */
const failedPrerequisite = (
  { probes }: BuilderState,
  mode: CanaryMode,
): 'login' | 'trust' | null => {
  const login = probes.login?.last.outcome
  if (!login) return 'login'
  if (login.status === 'skipped') return null
  if (login.status === 'failed' || login.status === 'busy')
    // The daemon may have a key that we have not: where its canary works we have a finding, not a fault
    return mode === 'daemon' && /^(?:auth|key|host_key)_/.test(login.kind)
      ? null
      : 'login'
  return probes.trust?.last.outcome.status === 'failed' ? 'trust' : null
}

const lastSlots = (state: BuilderState | undefined) => {
  const outcome = state?.probes.slots?.last.outcome
  return outcome && 'value' in outcome ? outcome.value : undefined
}

const lowSpace = ({ probes }: BuilderState, now: number): Params | null => {
  const disk = probes.disk?.lastSuccess?.outcome
  const value = disk && 'value' in disk ? disk.value : undefined
  if (
    !value?.minFree ||
    value.store.availableBytes >= value.minFree + canaryHeadroomBytes
  )
    return null
  // One a day all the same: only a build proves a builder
  const last = probes.canary?.conclusive?.at
  if (last === undefined || now - last > daySeconds) return null
  return {
    available: formatBytes(value.store.availableBytes),
    minFree: formatBytes(value.minFree),
    path: value.store.path,
  }
}
