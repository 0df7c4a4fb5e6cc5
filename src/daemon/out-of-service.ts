import type { Config } from '../config/config.ts'
import type { DrainActions } from '../exporters/api/drain.ts'
import type { Log } from '../log/log.ts'
import type { Builder, Clock, Drain } from '../model/index.ts'
import {
  activeDrains,
  parseDrains,
  serializeDrains,
  type DrainList,
} from '../quarantine/drains.ts'
import type { HolderClient, HolderState } from '../quarantine/holder/holder-client.ts'
import { planOutOfService, type OutOfServicePlan } from '../quarantine/out-of-service.ts'
import { createMachinesFile } from '../quarantine/write-machines-file.ts'
import type { StateFile } from '../state/state-file.ts'
import type { Store } from '../state/store.ts'
import { closestMatch } from '../text/closest-match.ts'
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

export const createOutOfService = (deps: OutOfServiceDeps): OutOfService => {
  const { store, config, clock, log, stateFile } = deps
  const now = () => clock.now() / 1000
  const persisted = (stateFile.read('drains') ?? {}) as Readonly<Record<string, unknown>>
  let drains: DrainList = activeDrains(parseDrains(persisted['drains']), now())
  let holderState: HolderState = { status: 'idle' }
  let ours: ReadonlySet<string> = new Set()
  let isQueued = false
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let unsubscribe = () => undefined as void
  let savedSlots = ''

  const holder = deps.createHolder(state => {
    if (state.status === 'unavailable' && holderState.status !== 'unavailable')
      log.warn({ reason: state.reason }, 'slots cannot be held, builds are not kept away')
    holderState = state
    ours = new Set(state.status === 'connected' ? state.slots.held : [])
    queueUpdate()
  })
  const machinesFile = createMachinesFile(log)
  // Before the builders are known, so that a restart does not interrupt a drain
  if (drains.size > 0) holder.hold(parseSlots(persisted['slots']))

  const save = (slots: readonly string[]) => {
    savedSlots = slots.join('\n')
    // Quarantines are decided anew after a restart
    stateFile.write(
      'drains',
      () => ({ drains: serializeDrains(drains), slots: drains.size > 0 ? slots : [] }),
      true,
    )
  }
  const endExpired = () => {
    const active = activeDrains(drains, now())
    if (active === drains) return
    for (const [name, { by, reason }] of drains)
      if (!active.has(name)) log.info({ builder: name, by, reason }, 'drain has ended')
    drains = active
    savedSlots = ''
  }
  const update = () => {
    if (isStopped) return
    endExpired()
    const { builders, nix, monitor, quarantine } = store.read()
    const settings = config().quarantine
    const plan = planOutOfService({
      builders,
      drains,
      isDrainedByConfig: name => config().builders[name]?.drained === true,
      mode: settings.enable ? (settings.dryRun ? 'dryRun' : 'on') : 'off',
      holder: holderState,
      nixVersion: nix?.version ?? null,
      countByKind: quarantine?.countByKind ?? {},
      now: now(),
      isInDoubt: monitor.selfCheckFailed,
      makesProgress: deps.connections.makesProgress,
      canVerify: name =>
        config().canary.enabled && config().builders[name]?.canary !== false,
    })
    logChanges(plan)
    holder.hold(plan.slots, settings.abortHungConnects ? endpointsOf(plan) : [])
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
      for (const other of linesOfHost(name))
        if (!names.includes(other.name) && !builders.get(other.name)?.quarantine)
          deps.recheck(other)
  }
  const queueUpdate = () => {
    if (isQueued || isStopped) return
    isQueued = true
    // Not inside of a listener, which would publish out of order
    queueMicrotask(() => {
      isQueued = false
      update()
    })
  }
  const linesOfHost = (name: string): readonly Builder[] => {
    const all = [...store.read().builders.values()].map(({ builder }) => builder)
    const named = all.find(builder => builder.name === name)
    if (!named) return []
    const key = deps.keyOf(named)
    return all.filter(builder => builder === named || deps.keyOf(builder) === key)
  }
  const select = (
    names: readonly string[],
  ): { readonly selected: readonly string[] } | { readonly error: string } => {
    const known = [...store.read().builders.keys()]
    const unknown = names.find(name => !known.includes(name))
    if (unknown !== undefined) {
      const suggestion = closestMatch(unknown, known)
      return {
        error: `no builder is called ${unknown}${suggestion ? `, did you mean ${suggestion}?` : ''}`,
      }
    }
    return {
      selected: [
        ...new Set(names.flatMap(name => linesOfHost(name).map(one => one.name))),
      ],
    }
  }
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
      const found = select(names)
      if ('error' in found) return { ok: false, error: found.error }
      const configured = found.selected.find(
        name => config().builders[name]?.drained === true,
      )
      if (configured !== undefined)
        return {
          ok: false,
          error: `${configured} is drained by the configuration: remove builders.${configured}.drained from it, then: builder-monitor reload`,
        }
      const selected = found.selected.filter(name => drains.has(name))
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
      unsubscribe = store.subscribe(queueUpdate)
      timer = setInterval(update, tickMs)
      update()
    },
    stop: () => {
      isStopped = true
      clearInterval(timer)
      unsubscribe()
      holder.close()
      machinesFile.release()
    },
  }
}

const maxPersistedSlots = 20_000

const parseSlots = (value: unknown): readonly string[] =>
  Array.isArray(value)
    ? value.slice(0, maxPersistedSlots).filter(name => typeof name === 'string')
    : []
