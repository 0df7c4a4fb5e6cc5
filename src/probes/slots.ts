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
  /** Seconds after which a slot that is held without a build is called stuck. */
  readonly stuckAfterSeconds: () => number
}

/** How many slots of the builder this client holds now, and who uploads or waits to. Takes no lock itself. */
export const createSlotsProbe = (deps: SlotsDeps): Probe<'slots'> => ({
  name: 'slots',
  summary: 'slots that this machine holds, since when, and the upload lock',
  timeoutMs: 3000,
  run: async ({ builder, clock, last }) => {
    const locks = await deps.readLocks()
    if ('unreadable' in locks)
      return { status: 'skipped', kind: 'no_data', params: { detail: locks.unreadable } }
    const now = clock.now() / 1000
    const stuckBefore = now - deps.stuckAfterSeconds()
    const observed = await readSlots(locks, builder.storeUri, builder.maxJobs)
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

/** What the locks say about one machine. */
export const readSlots = async (
  locks: SlotLocks,
  storeUri: string,
  configured: number,
): Promise<SlotsValue> => {
  const names = lockNames(storeUri)
  const slots = names.slots.flatMap(name => locks.slots.get(name) ?? [])
  const files = await locks.stat([...slots.map(({ file }) => file), ...names.upload])
  const locksOn = (name: string) =>
    locks.locks.filter(({ file }) => files.get(name)?.files.includes(file))

  const inUse = await Promise.all(
    slots.flatMap(({ slot, file }) => {
      const holder = locksOn(file).find(({ isWaiting }) => !isWaiting)
      if (!holder || holder.pid === locks.schedulerPid) return []
      return [
        (async () => {
          const started = await locks.getStartTime(holder.pid)
          // A process that began later than the file was touched took it later
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

/** Older news of the builder say nothing about now. */
const freshSeconds = 900

interface SlotContext {
  readonly previous: SlotsValue | null
  readonly remote: LocksValue | null
  readonly now: number
}

type SlotInUse = SlotsValue['inUse'][number]

/** Age alone is no fault: a build may take days. Stuck is what is old and surely builds nothing. */
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
      slots: stuck.map(one => one.slot.slot).join(', '),
      hours: String(Math.floor((context.now - slot.since) / 3600)),
      pid: String(slot.pid),
      detail: reason,
    },
  }
}

/** How we know that a hook builds nothing; null where it may. */
const explainIdle = (
  slot: SlotInUse,
  { upload }: SlotsValue,
  context: SlotContext,
): string | null => {
  if (slot.hasSsh === undefined) return null
  if (!slot.hasSsh) return 'it has no ssh any more'
  const { previous, remote, now } = context
  // Whoever uploads, or waits to, has no build there yet
  if (upload.holder === slot.pid || upload.queue.includes(slot.pid)) return null
  const previousCpuSeconds = previous?.inUse.find(
    ({ pid, slot: number }) => pid === slot.pid && number === slot.slot,
  )?.cpuSeconds
  const isActive =
    previousCpuSeconds === undefined || previousCpuSeconds !== slot.cpuSeconds
  const isFresh = remote !== null && now - remote.at < freshSeconds
  return !isActive && isFresh && remote.buildUsers && remote.buildUsersInUse === 0
    ? 'nothing builds over there'
    : null
}

/** Are all slots of the builder held, so that another build would have to wait? */
export const isFull = ({ inUse, configured }: SlotsValue): boolean =>
  configured > 0 && inUse.filter(({ slot }) => slot < configured).length >= configured
