import type { Config } from './config/config.ts'
import type { Kind, Params } from './diagnosis/kinds.ts'
import type { Engine } from './engine.ts'
import type { Builder, BuilderState, ProbeName, Snapshot } from './model.ts'
import type { CanaryDeps } from './probes/canary.ts'
import type { CanaryMode } from './probes/canary-workshop.ts'
import { humanBytes } from './probes/disk.ts'
import { isFull } from './probes/slots.ts'
import type { Job } from './schedule/planner.ts'

export interface JobDeps {
  readonly engine: Engine
  readonly read: () => Snapshot
  readonly config: () => Config
  /** Unix seconds. */
  readonly now: () => number
  /** Asks for a job out of its turn. */
  readonly soon: (job: JobName, builder: Builder, delayMs: number) => void
  readonly random: () => number
  readonly askLocalDaemon: CanaryDeps['askLocalDaemon']
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
const authWaits = [60, 300, 900] as const
/** A second sight after a surprise: late enough for the verdict (5 s), early enough to be news. */
const secondSightMs = 6000
const canaryRetryMs = 60_000
/** With less than this above min-free the canary itself would start a garbage collection. */
const canaryHeadroomBytes = 64 * 1024 * 1024
const daySeconds = 86_400
const readings: readonly ProbeName[] = ['system', 'disk', 'memory', 'locks']

/** The work of the daemon: what is done for a builder when its turn comes, and what follows from what was found. */
export const createJobs = (deps: JobDeps): readonly Job[] => {
  const { schedule, jitter, concurrency } = deps.config()
  return [
    {
      name: 'login',
      times: { login: schedule.login },
      jitter,
      width: concurrency.logins,
      // MaxStartups of a host counts all of its logins
      exclusive: hostOf,
      run: (builder, _, signal) => loginJob(deps, builder, signal),
    },
    {
      name: 'telemetry',
      times: { system: schedule.system, disk: schedule.disk, memory: schedule.memory },
      jitter: 0,
      width: 2 * concurrency.logins,
      exclusive: builder => builder.name,
      run: async (builder, due, signal) => {
        if (exceptionsOf(deps, builder)?.drained) return
        // What is locked has no schedule of its own
        const names = readings.filter(name => due.has(name === 'locks' ? 'disk' : name))
        await deps.engine.telemetry(builder, names, signal)
      },
    },
    {
      name: 'canary',
      times: { canary: schedule.canary },
      jitter,
      width: concurrency.canaries,
      exclusive: hostOf,
      run: (builder, _, signal) =>
        canaryJob(deps, builder, deps.config().canary.mode, signal),
    },
    {
      name: 'slots',
      times: { slots: schedule.slots },
      jitter: 0,
      width: 4 * concurrency.logins,
      exclusive: builder => builder.name,
      run: (builder, _, signal) => deps.engine.slots(builder, signal),
    },
    {
      name: 'daemonCanary',
      times: { daemonCanary: schedule.daemonCanary },
      jitter,
      width: 1,
      exclusive: hostOf,
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
const hostOf = (builder: Builder): string =>
  builder.host === null ? builder.name : `${builder.host}:${builder.port ?? 22}`

const exceptionsOf = (deps: JobDeps, builder: Builder) =>
  deps.config().builders[builder.name]

const loginJob = async (
  deps: JobDeps,
  builder: Builder,
  signal: AbortSignal,
): Promise<void> => {
  const { engine, soon, random } = deps
  const exceptions = exceptionsOf(deps, builder)
  if (exceptions?.drained) return engine.disconnect(builder)
  const before = deps.read().builders.get(builder.name)
  if (before && authWait(before) > deps.now()) return
  const answers = await engine.login(builder, signal)
  if (signal.aborted) return
  const keeps = deps.config().keepConnections && exceptions?.expect !== 'asleep'
  if (engine.isConnected(builder) && (!keeps || !before?.probes.disk))
    await engine.telemetry(builder, readings, signal)
  if (!keeps) engine.disconnect(builder)

  const after = deps.read().builders.get(builder.name)
  if (!after || signal.aborted) return
  const waitUntil = authWait(after)
  const { state } = after.verdict
  if (waitUntil > deps.now()) soon('login', builder, (waitUntil - deps.now() + 1) * 1000)
  // A store that is not reached by ssh has no login to see again
  else if (after.probes.login?.last.outcome.status === 'skipped') return
  // The verdict wants to see a change twice
  else if (answers ? state === 'down' : state !== 'down' && state !== 'asleep')
    soon('login', builder, secondSightMs + random() * 2000)
  if (answers && wantsCanary(after)) soon('canary', builder, 0)
}

/** Unix time before which no login may be tried again; 0 where nothing forbids it. */
const authWait = ({ probes }: BuilderState): number => {
  const record = probes.login
  const outcome = record?.conclusive?.outcome
  if (!record || outcome?.status !== 'failed' || !authKinds.has(outcome.kind)) return 0
  const wait =
    authWaits[Math.min(record.streak.count, authWaits.length) - 1] ?? authWaits[2]
  return record.last.at + wait
}

/** The first canary, one that had to wait for this login, or one whose failure may be over now. */
const wantsCanary = ({ probes }: BuilderState): boolean => {
  const { canary, login } = probes
  if (!canary) return true
  const { outcome } = canary.last
  if (outcome.status === 'skipped') return outcome.kind === 'not_tried'
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
  const exceptions = exceptionsOf(deps, builder)
  if (exceptions?.drained) return
  const skip = (kind: Kind, params: Params) =>
    engine.skip(builder, ['canary'], kind, params)
  if (!canary.enabled || exceptions?.canary === false)
    return skip('not_asked', { detail: 'turned off by the configuration' })
  const before = deps.read().builders.get(builder.name)
  const waitsFor = before && missingRung(before, mode)
  if (waitsFor) return skip('not_tried', { waitsFor })
  const space = before && shortOfSpace(before, deps.now())
  if (space) return skip('below_min_free', space)
  // A private canary takes no slot of Nix's; the daemon would wait for one
  if (mode === 'daemon') {
    await engine.slots(builder, signal)
    const slots = lastSlots(deps.read().builders.get(builder.name))
    if (slots && isFull(slots)) return engine.busy(builder, 'canary', 'slots_full')
  }
  await engine.prove(builder, mode, signal)
  const record = deps.read().builders.get(builder.name)?.probes.canary
  if (record?.last.outcome.status === 'failed' && record.streak.count < 3)
    deps.soon('canary', builder, canaryRetryMs)
}

/** The rung that a canary needs and that is broken now. Stores that are not reached over SSH need none. */
const missingRung = (
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

const shortOfSpace = ({ probes }: BuilderState, now: number): Params | null => {
  const disk = probes.disk?.lastGood?.outcome
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
    available: humanBytes(value.store.availableBytes),
    minFree: humanBytes(value.minFree),
    path: value.store.path,
  }
}
