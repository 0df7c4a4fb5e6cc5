import type {
  Builder,
  BuilderState,
  Drain,
  Hold,
  Kind,
  Quarantine,
  QuarantineState,
} from '../model/index.ts'
import { maxHeldSlots, slotFileNames } from '../nix/machines/lock-names.ts'
import type { DrainList } from './drains.ts'
import { findFault } from './find-fault.ts'
import type { HolderState } from './holder/holder-client.ts'
import {
  nextQuarantine,
  type QuarantineContext,
  type QuarantineDecision,
} from './next-quarantine.ts'

/** What decides which builders get no builds. */
export interface OutOfServiceInput extends QuarantineContext {
  readonly builders: ReadonlyMap<string, BuilderState>
  readonly drains: DrainList
  /** Whether the configuration drains a builder. */
  readonly isDrainedByConfig: (name: string) => boolean
  readonly mode: QuarantineState['mode']
  readonly holder: HolderState
  readonly nixVersion: string | null
  readonly countByKind: QuarantineState['countByKind']
}

/** Which builders get no builds, and the slot locks for it. */
export interface OutOfServicePlan {
  readonly byName: ReadonlyMap<string, PlanEntry>
  /** File names of all slots to hold, each once. */
  readonly slots: readonly string[]
  readonly state: QuarantineState
  /** Builders that are quarantined since the last plan. */
  readonly added: readonly string[]
}

interface PlanEntry {
  readonly drain?: Drain
  readonly quarantine?: Quarantine
  readonly hold?: Hold
}

/** Computes the plan. Pure: the same input has the same plan. */
export const planOutOfService = (input: OutOfServiceInput): OutOfServicePlan => {
  const { builders, drains, mode, holder, nixVersion } = input
  const decision: QuarantineDecision =
    mode === 'off'
      ? { quarantines: new Map(), released: null }
      : nextQuarantine(builders, input)
  const held = new Set(holder.status === 'connected' ? holder.slots.held : [])
  const running = new Set(holder.status === 'connected' ? holder.slots.waiting : [])
  const refused = holder.status === 'connected' ? holder.slots.refused : {}
  const byName = new Map<string, PlanEntry>()
  const slots = new Set<string>()
  const added: string[] = []
  const countByKind: Partial<Record<Kind, number>> = { ...input.countByKind }
  for (const [name, { builder, quarantine: before }] of builders) {
    const drain = input.isDrainedByConfig(name) ? undefined : drains.get(name)
    const quarantine: Quarantine | undefined = decision.quarantines.get(name)
    const isQuarantined =
      quarantine?.phase === 'quarantined' && quarantine.retainedBy === null
    if (isQuarantined && before?.phase !== 'quarantined') {
      added.push(name)
      countByKind[quarantine.kind] = (countByKind[quarantine.kind] ?? 0) + 1
    }
    const isHeld =
      input.isDrainedByConfig(name) ||
      drain !== undefined ||
      (mode === 'on' && decision.released === null && isQuarantined)
    const own = isHeld ? slotsOf(builder, nixVersion) : []
    for (const slot of own) slots.add(slot)
    if (isHeld || drain || quarantine)
      byName.set(name, {
        ...(drain ? { drain } : {}),
        ...(quarantine ? { quarantine } : {}),
        ...(isHeld ? { hold: holdOf(builder, own, held, running, refused) } : {}),
      })
  }
  const isUnavailable = holder.status === 'unavailable'
  return {
    byName,
    slots: [...slots].sort(),
    added,
    state: {
      mode,
      released: decision.released ?? (mode === 'on' && isUnavailable ? 'holder' : null),
      unavailable: isUnavailable ? holder.reason : null,
      countByKind,
    },
  }
}

const holdOf = (
  builder: Builder,
  files: readonly string[],
  held: ReadonlySet<string>,
  running: ReadonlySet<string>,
  refused: Readonly<Record<string, string>>,
): Hold => {
  const problem = findProblem(builder, files, refused)
  return {
    ...countHold(builder.maxJobs, files, held, running),
    ...(problem === null ? {} : { problem }),
  }
}

/** Counts slots, each of which has a file for every name that Nix may use. */
const countHold = (
  maxJobs: number,
  files: readonly string[],
  held: ReadonlySet<string>,
  running: ReadonlySet<string>,
) => {
  const counts = { held: 0, running: 0, total: maxJobs }
  for (let slot = 0; slot < Math.min(maxJobs, files.length); slot++) {
    let [isHeld, isRunning] = [true, false]
    for (let i = slot; i < files.length; i += maxJobs) {
      isHeld &&= held.has(files[i] ?? '')
      isRunning ||= running.has(files[i] ?? '')
    }
    if (isHeld) counts.held++
    else if (isRunning) counts.running++
  }
  return counts
}

const slotsOf = (
  { storeUri, maxJobs }: Builder,
  nixVersion: string | null,
): readonly string[] =>
  maxJobs > maxHeldSlots ? [] : slotFileNames(storeUri, maxJobs, nixVersion)

const findProblem = (
  { maxJobs }: Builder,
  slots: readonly string[],
  refused: Readonly<Record<string, string>>,
): string | null =>
  maxJobs > maxHeldSlots
    ? `more than ${maxHeldSlots} slots cannot be held`
    : (slots.flatMap(slot => refused[slot] ?? [])[0] ?? null)

/**
 * False for a state that can wait for the next periodic decision: each one looks at all builders, which is too much for each
 * result of a builder that works.
 */
export const needsDecision = (state: BuilderState | undefined): boolean =>
  !state?.probes.login ||
  state.drain !== undefined ||
  state.quarantine !== undefined ||
  state.hold !== undefined ||
  findFault(state, false) !== null
