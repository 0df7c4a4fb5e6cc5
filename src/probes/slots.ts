import type {
  Builder,
  LocksValue,
  Outcome,
  Probe,
  Sample,
  SlotsValue,
} from '../model/index.ts'
import { lockNames } from '../nix/machines/lock-names.ts'
import type { ReadSlotLocks, SlotLocks } from './slots/slot-locks.ts'

export interface SlotsDeps {
  readonly readLocks: ReadSlotLocks
  /** Seconds after which a slot in use without a build is reported as stuck. */
  readonly stuckAfterSeconds: () => number
  /** Whether a slot file is locked by our slot holder, not by a build. */
  readonly isOurs: (file: string) => boolean
}

/** Creates the probe for slots of the builder that this client uses, and its upload lock. Takes no lock itself. */
export const createSlotsProbe = (deps: SlotsDeps): Probe<'slots'> => ({
  name: 'slots',
  summary: 'slots in use by this machine, with their age, and the upload lock',
  timeoutMs: 3000,
  run: async ({ builder, clock, last }) => {
    const locks = await deps.readLocks()
    if ('unreadable' in locks)
      return { status: 'skipped', kind: 'no_data', params: { detail: locks.unreadable } }
    const now = clock.now() / 1000
    const stuckBefore = now - deps.stuckAfterSeconds()
    const observed = await readSlots(
      locks,
      builder.storeUri,
      builder.maxJobs,
      deps.isOurs,
    )
    const inUse = await Promise.all(
      observed.inUse.map(async slot => {
        const hook = slot.since < stuckBefore ? await locks.findBuildHook(slot.pid) : null
        return { ...slot, ...hook }
      }),
    )
    const value = { ...observed, inUse }
    const context = { previous: last('slots'), remote: last('locks'), now }
    return toOutcome(value, stuckBefore, context)
  },
  samples: slotsSamples,
})

export const slotsSamples = (
  { inUse, oldestAcquiredAt, upload }: SlotsValue,
  { name: builder }: Builder,
): readonly Sample[] => [
  { family: 'nix_builder_slots_held', labels: { builder }, value: inUse.length },
  ...(oldestAcquiredAt === null
    ? []
    : [
        {
          family: 'nix_builder_slot_oldest_acquired_timestamp_seconds',
          labels: { builder },
          value: oldestAcquiredAt,
        },
      ]),
  {
    family: 'nix_builder_upload_lock_waiters',
    labels: { builder },
    value: upload.queue.length,
  },
]

/** Returns slots and upload lock of one machine. */
export const readSlots = async (
  locks: SlotLocks,
  storeUri: string,
  configured: number,
  isOurs: (file: string) => boolean = () => false,
): Promise<SlotsValue> => {
  const names = lockNames(storeUri)
  const slots = names.slots.flatMap(name => locks.slots.get(name) ?? [])
  const files = await locks.stat([...slots.map(({ file }) => file), ...names.upload])
  const locksOn = (name: string) =>
    locks.locks.filter(({ file }) => files.get(name)?.files.includes(file))

  const inUse = await Promise.all(
    slots.flatMap(({ slot, file }) => {
      if (isOurs(file)) return []
      const holder = locksOn(file).find(({ isWaiting }) => !isWaiting)
      if (!holder || holder.pid === locks.schedulerPid) return []
      return [
        (async () => {
          const started = await locks.getStartTime(holder.pid)
          // A process that started after the file's mtime took the lock later
          const since = Math.max(files.get(file)?.mtime ?? 0, started ?? 0)
          return { slot, pid: holder.pid, since }
        })(),
      ]
    }),
  )
  const uploads = names.upload.flatMap(locksOn)
  return {
    configured,
    inUse: inUse.sort((a, b) => a.slot - b.slot),
    oldestAcquiredAt: inUse.length ? Math.min(...inUse.map(({ since }) => since)) : null,
    upload: {
      holder: uploads.find(({ isWaiting }) => !isWaiting)?.pid ?? null,
      queue: uploads.filter(({ isWaiting }) => isWaiting).map(({ pid }) => pid),
    },
    seesAllNamespaces: locks.seesAllNamespaces,
  }
}

/** Maximum age of the builder's own lock data. */
const freshSeconds = 900

interface SlotContext {
  readonly previous: SlotsValue | null
  readonly remote: LocksValue | null
  readonly now: number
}

type SlotInUse = SlotsValue['inUse'][number]

/** Age alone is not an error: a build can take days. A slot is stuck if it is old and certainly has no build. */
const toOutcome = (
  value: SlotsValue,
  stuckBefore: number,
  context: SlotContext,
): Outcome<SlotsValue> => {
  const stuck = value.inUse.flatMap(slot => {
    const reason = slot.since < stuckBefore ? explainIdle(slot, value, context) : null
    return reason ? [{ slot, why: reason }] : []
  })
  const [first] = stuck
  if (!first) return { status: 'ok', value }
  const { slot, why: reason } = stuck.reduce(
    (a, b) => (b.slot.since < a.slot.since ? b : a),
    first,
  )
  return {
    status: 'degraded',
    kind: 'slot_stuck',
    value,
    params: {
      slots: stuck.map(entry => entry.slot.slot).join(', '),
      hours: String(Math.floor((context.now - slot.since) / 3600)),
      pid: String(slot.pid),
      detail: reason,
    },
  }
}

/** Returns why a hook certainly has no build; null if it can have one. */
const explainIdle = (
  slot: SlotInUse,
  { upload }: SlotsValue,
  context: SlotContext,
): string | null => {
  if (slot.hasSsh === undefined) return null
  if (!slot.hasSsh) return 'its ssh process has exited'
  const { previous, remote, now } = context
  // A hook that uploads or waits to upload has no build yet
  if (upload.holder === slot.pid || upload.queue.includes(slot.pid)) return null
  const previousCpuSeconds = previous?.inUse.find(
    ({ pid, slot: number }) => pid === slot.pid && number === slot.slot,
  )?.cpuSeconds
  const isActive =
    previousCpuSeconds === undefined || previousCpuSeconds !== slot.cpuSeconds
  const isFresh = remote !== null && now - remote.at < freshSeconds
  return !isActive && isFresh && remote.buildUsers && remote.buildUsersInUse === 0
    ? 'no build runs on the builder'
    : null
}

/** Whether all slots of the builder are in use, so that another build would wait. */
export const isFull = ({ inUse, configured }: SlotsValue): boolean =>
  configured > 0 && inUse.filter(({ slot }) => slot < configured).length >= configured
