import type { Config } from '../config/config.ts'
import type { DrainActions } from '../exporters/api/drain.ts'
import type { Log } from '../log/log.ts'
import type { Builder, Clock, Drain } from '../model/index.ts'
import { activeDrains, type DrainList } from '../quarantine/drains.ts'
import {
  onlySlots,
  type HolderClient,
  type HolderState,
} from '../quarantine/holder/holder-client.ts'
import {
  needsDecision,
  planOutOfService,
  type OutOfServicePlan,
} from '../quarantine/out-of-service.ts'
import { parseSavedDrains, serializeSavedDrains } from '../quarantine/saved-drains.ts'
import { createMachinesFile } from '../quarantine/write-machines-file.ts'
import type { StateFile } from '../state/state-file.ts'
import type { Store } from '../state/store.ts'
import { drainNewLines, linesOfHost, selectBuilders } from './select-builders.ts'
import type { WatchedConnections } from './watch-connections.ts'

export interface OutOfServiceDeps {
  readonly store: Store
  readonly config: () => Config
  readonly clock: Clock
  readonly log: Log
  readonly stateFile: StateFile
  /** Creates the connection to the slot holder. */
  readonly createHolder: (onChange: (state: HolderState) => void) => HolderClient
  /** Which builders are the same sshd. */
  readonly keyOf: (builder: Builder) => string
  readonly connections: Pick<WatchedConnections, 'makesProgress'>
  /** Requests a new login. */
  readonly recheck: (builder: Builder) => void
}

/** Keeps builds away from drained and quarantined builders. A drain is also one of the other lines of the same host. */
export interface OutOfService extends DrainActions {
  /** Whether a slot file is locked by the slot holder. */
  isOurs(file: string): boolean
  /** Starts to follow the snapshots. */
  start(): void
  /** Releases everything. */
  stop(): void
}

const tickMs = 1000
/** Results of this time are decided together. */
const coalesceMs = 50

export const createOutOfService = (deps: OutOfServiceDeps): OutOfService => {
  const { store, config, clock, log, stateFile } = deps
  const now = () => clock.now() / 1000
  const saved = parseSavedDrains(stateFile.read('drains'), now())
  let drains: DrainList = saved.drains
  let holderState: HolderState = { status: 'idle' }
  let ours: ReadonlySet<string> = new Set()
  let queued: NodeJS.Timeout | null = null
  // Before the builders are known, an update would release what is held
  let isRunning = false
  let timer: NodeJS.Timeout | undefined
  let unsubscribe = () => undefined as void
  let savedSlots = ''
  /** Whether the last plan keeps builds away from no builder. */
  let isClear = false

  const holder = deps.createHolder(state => {
    if (state.status === 'unavailable' && holderState.status !== 'unavailable')
      log.warn({ reason: state.reason }, 'slots cannot be held, builds are not kept away')
    holderState = state
    ours = new Set(state.status === 'connected' ? state.slots.held : [])
    queueUpdate()
  })
  const machinesFile = createMachinesFile(log)
  // Before the builders are known, so that a restart does not interrupt a drain
  holder.hold(onlySlots(saved.slots))

  const save = (slots: readonly string[]) => {
    savedSlots = slots.join('\n')
    const { builders, quarantine } = config()
    const isDrained =
      drains.size > 0 || Object.values(builders).some(({ drained }) => drained)
    const kept = { drains, slots: isDrained ? slots : [], socket: quarantine.socket }
    stateFile.write('drains', () => serializeSavedDrains(kept), true)
  }
  const endExpired = () => {
    const active = activeDrains(drains, now())
    if (active === drains) return
    for (const [name, { by, reason }] of drains)
      if (!active.has(name)) log.info({ builder: name, by, reason }, 'drain has ended')
    drains = active
    savedSlots = ''
  }
  /** No builder is drained or quarantined, none can be, and no file lists the builders. */
  const isUnused = () =>
    drains.size === 0 &&
    !config().quarantine.enable &&
    config().quarantine.machinesFile === undefined &&
    !Object.values(config().builders).some(({ drained }) => drained) &&
    isClear &&
    store.read().quarantine?.mode === 'off'
  const update = () => {
    if (!isRunning) return
    endExpired()
    if (isUnused()) return
    const { builders, nix, monitor, quarantine } = store.read()
    const settings = config().quarantine
    const plan = planOutOfService({
      builders,
      drains: drainNewLines(drains, known()),
      isDrainedByConfig: name => config().builders[name]?.drained === true,
      mode: settings.enable ? (settings.dryRun ? 'dryRun' : 'on') : 'off',
      holder: holderState,
      nixVersion: nix?.version ?? null,
      countByKind: quarantine?.countByKind ?? {},
      now: now(),
      isSelfCheckFailing: monitor.selfCheckFailed,
      makesProgress: deps.connections.makesProgress,
      canVerify: name =>
        config().canary.enabled && config().builders[name]?.canary !== false,
    })
    isClear = plan.byName.size === 0
    logChanges(plan)
    holder.hold({
      slots: plan.slots,
      abort: settings.abortHungConnects ? endpointsOf(plan) : [],
      staysConnected: plan.state.mode === 'on',
    })
    if (plan.slots.join('\n') !== savedSlots) save(plan.slots)
    store.setOutOfService(plan.byName, plan.state)
    machinesFile.update(
      settings.machinesFile ?? null,
      [...builders.values()].map(({ builder }) => builder),
      name => plan.byName.get(name)?.hold !== undefined,
    )
    recheckSameHosts(plan.added)
  }
  const logChanges = ({ byName, added, state }: OutOfServicePlan) => {
    const { builders, quarantine } = store.read()
    for (const name of added)
      log.warn(
        { builder: name, kind: byName.get(name)?.quarantine?.kind, mode: state.mode },
        state.mode === 'on' ? 'quarantined' : 'would be quarantined',
      )
    for (const [name, { quarantine: before }] of builders)
      if (
        before?.phase === 'quarantined' &&
        byName.get(name)?.quarantine?.phase === 'probation'
      )
        log.info({ builder: name, kind: before.kind }, 'in service again')
    if (state.released !== (quarantine?.released ?? null) && state.released)
      log.warn({ reason: state.released }, 'all builders stay in service')
  }
  /** Returns where hung connects are ended: the addresses of quarantined builders. */
  const endpointsOf = ({ byName }: OutOfServicePlan): readonly string[] => {
    const { builders } = store.read()
    const endpoints = [...byName].flatMap(([name, { quarantine, hold }]) => {
      const state = quarantine?.phase === 'quarantined' && hold && builders.get(name)
      return state ? [deps.keyOf(state.builder)] : []
    })
    return [...new Set(endpoints)].filter(text => /^[0-9a-fA-F.:]+ port \d+$/.test(text))
  }
  /** A host that is dead for one line is dead for its other lines. */
  const recheckSameHosts = (names: readonly string[]) => {
    const { builders } = store.read()
    for (const name of names)
      for (const other of linesOfHost(known(), deps.keyOf, name))
        if (!names.includes(other.name) && !builders.get(other.name)?.quarantine)
          deps.recheck(other)
  }
  /** Not inside of a listener, which would publish out of order, and once for many results. */
  const queueUpdate = () => {
    if (!isRunning) return
    queued ??= setTimeout(() => {
      queued = null
      update()
    }, coalesceMs)
  }
  const known = () => [...store.read().builders.values()].map(({ builder }) => builder)
  const select = (names: readonly string[]) => selectBuilders(known(), deps.keyOf, names)
  const warning = () =>
    holderState.status === 'unavailable'
      ? `builds are not kept away: ${holderState.reason}`
      : null

  return {
    drain: (names, drain) => {
      const found = select(names)
      if ('error' in found) return { ok: false, error: found.error }
      const since = now()
      drains = new Map([
        ...drains,
        ...found.selected.map((name): [string, Drain] => [name, { ...drain, since }]),
      ])
      for (const builder of found.selected) log.info({ builder, ...drain }, 'drained')
      savedSlots = ''
      update()
      return { ok: true, names: found.selected, warning: warning() }
    },
    undrain: names => {
      // Not in the list any more
      const gone = names.filter(
        name => drains.has(name) && !store.read().builders.has(name),
      )
      const found = select(names.filter(name => !gone.includes(name)))
      if ('error' in found) return { ok: false, error: found.error }
      const configured = found.selected.find(
        name => config().builders[name]?.drained === true,
      )
      if (configured !== undefined)
        return {
          ok: false,
          error: `${configured} is drained by the configuration: remove builders.${configured}.drained from it, then: builder-monitor reload`,
        }
      const all = drainNewLines(drains, known())
      const selected = [...gone, ...found.selected.filter(name => all.has(name))]
      if (selected.length === 0)
        return { ok: false, error: `${names.join(', ')}: not drained` }
      drains = new Map([...drains].filter(([name]) => !selected.includes(name)))
      for (const builder of selected) log.info({ builder }, 'drain was ended')
      savedSlots = ''
      update()
      for (const name of selected) {
        const state = store.read().builders.get(name)
        if (state) deps.recheck(state.builder)
      }
      return { ok: true, names: selected, warning: null }
    },
    isOurs: file => ours.has(file),
    start: () => {
      isRunning = true
      unsubscribe = store.subscribe(({ builders }, change) => {
        if ([...change.builders].some(name => needsDecision(builders.get(name))))
          queueUpdate()
      })
      // After the self-check has seen the results so far
      timer = setInterval(() => setImmediate(update), tickMs)
      update()
    },
    stop: () => {
      isRunning = false
      clearInterval(timer)
      if (queued) clearTimeout(queued)
      unsubscribe()
      holder.close()
      machinesFile.release()
    },
  }
}
