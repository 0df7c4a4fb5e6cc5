import type { HoldStatus } from './messages.ts'
import type { HeldLock } from './lock-file.ts'

export interface HeldSlotsDeps {
  /** Locks one slot; waits while a build uses it. Rejects when the signal fires or the slot cannot be locked. */
  readonly lock: (
    name: string,
    signal: AbortSignal,
    onWaiting: () => void,
  ) => Promise<HeldLock>
  /** Called after each change of the status. */
  readonly onChange: () => void
}

/** The slots that are held, and those that are waited for. */
export interface HeldSlots {
  /** Replaces the set of slots to hold: releases what is not in it, locks what is new, and tries refused slots again. */
  hold(names: readonly string[]): void
  status(): HoldStatus
  /** Releases everything. Resolves when no lock is held. */
  releaseAll(): Promise<void>
}

/** Slots that are tried at the same time. Each costs one process for a few milliseconds. */
const maxLocking = 8

interface Slot {
  phase: 'queued' | 'locking' | 'waiting' | 'held' | 'refused'
  reason: string
  lock: HeldLock | null
  readonly stop: AbortController
}

export const createHeldSlots = ({ lock, onChange }: HeldSlotsDeps): HeldSlots => {
  const slots = new Map<string, Slot>()
  const ending = new Set<Promise<void>>()
  let locking = 0

  const namesIn = (phase: Slot['phase']): readonly string[] =>
    [...slots].filter(([, slot]) => slot.phase === phase).map(([name]) => name)

  const release = (name: string, slot: Slot): void => {
    if (slots.get(name) === slot) slots.delete(name)
    slot.stop.abort(new Error('released'))
    const released = slot.lock?.release()
    slot.lock = null
    if (released) track(released)
  }
  const track = (work: Promise<void>): void => {
    const tracked: Promise<void> = work
      .catch(() => undefined)
      .finally(() => ending.delete(tracked))
    ending.add(tracked)
  }

  const take = async (name: string, slot: Slot): Promise<void> => {
    slot.phase = 'locking'
    locking++
    // A slot in use is waited for outside the limit: its build can take days
    const stopCounting = once(() => {
      locking--
      takeQueued()
    })
    try {
      const held = await lock(name, slot.stop.signal, () => {
        slot.phase = 'waiting'
        stopCounting()
        onChange()
      })
      if (slot.stop.signal.aborted) await held.release()
      else {
        slot.lock = held
        slot.phase = 'held'
        onChange()
      }
    } catch (error) {
      if (!slot.stop.signal.aborted) {
        slot.phase = 'refused'
        slot.reason = error instanceof Error ? error.message : String(error)
        onChange()
      }
    } finally {
      stopCounting()
    }
  }
  const takeQueued = (): void => {
    for (const [name, slot] of slots) {
      if (locking >= maxLocking) return
      if (slot.phase === 'queued') track(take(name, slot))
    }
  }
  const renewStale = async (name: string, slot: Slot): Promise<void> => {
    // The directory or the file was deleted: Nix creates another file, which is not locked
    if (slot.lock && !(await slot.lock.isCurrent()) && slots.get(name) === slot) {
      release(name, slot)
      slots.set(name, newSlot())
    }
  }

  return {
    hold: names => {
      const wanted = new Set(names)
      for (const [name, slot] of slots) if (!wanted.has(name)) release(name, slot)
      for (const name of wanted) {
        const slot = slots.get(name)
        if (!slot) slots.set(name, newSlot())
        else if (slot.phase === 'refused') slot.phase = 'queued'
        else if (slot.phase === 'held') track(renewStale(name, slot).then(takeQueued))
      }
      takeQueued()
      onChange()
    },
    status: () => ({
      held: namesIn('held'),
      waiting: namesIn('waiting'),
      refused: Object.fromEntries(
        [...slots]
          .filter(([, slot]) => slot.phase === 'refused')
          .map(([name, { reason }]) => [name, reason]),
      ),
    }),
    releaseAll: async () => {
      for (const [name, slot] of slots) release(name, slot)
      while (ending.size > 0) await Promise.all(ending)
      onChange()
    },
  }
}

const newSlot = (): Slot => ({
  phase: 'queued',
  reason: '',
  lock: null,
  stop: new AbortController(),
})

const once = (work: () => void): (() => void) => {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    work()
  }
}
