import type { Builder, LocksValue, Outcome, Probe, Sample, SlotsValue } from '../model.ts'
import { lockNames } from '../nix/lock-names.ts'
import type { ReadSlotLocks, SlotLocks } from './slot-locks.ts'

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
      return { status: 'skipped', kind: 'not_told', params: { detail: locks.unreadable } }
    const now = clock.now() / 1000
    const oldest = now - deps.stuckAfterSeconds()
    const seen = await slotsOf(locks, builder.storeUri, builder.maxJobs)
    const held = await Promise.all(
      seen.held.map(async slot => {
        const hook = slot.since < oldest ? await locks.hookOf(slot.pid) : null
        return { ...slot, ...hook }
      }),
    )
    const value = { ...seen, held }
    const known = { before: last('slots'), remote: last('locks'), now }
    return judge(value, oldest, known)
  },
  samples: slotsSamples,
})

export const slotsSamples = (
  { held, oldestSince, upload }: SlotsValue,
  { name: builder }: Builder,
): readonly Sample[] => [
  { family: 'nix_builder_slots_held', labels: { builder }, value: held.length },
  ...(oldestSince === null
    ? []
    : [
        {
          family: 'nix_builder_slot_oldest_acquired_timestamp_seconds',
          labels: { builder },
          value: oldestSince,
        },
      ]),
  {
    family: 'nix_builder_upload_lock_waiters',
    labels: { builder },
    value: upload.waiting.length,
  },
]

/** What the locks say about one machine. */
export const slotsOf = async (
  locks: SlotLocks,
  storeUri: string,
  configured: number,
): Promise<SlotsValue> => {
  const names = lockNames(storeUri)
  const slots = names.slots.flatMap(name => locks.slots.get(name) ?? [])
  const files = await locks.stat([...slots.map(({ file }) => file), ...names.upload])
  const on = (name: string) =>
    locks.locks.filter(({ file }) => files.get(name)?.files.includes(file))

  const held = await Promise.all(
    slots.flatMap(({ slot, file }) => {
      const holder = on(file).find(({ waits }) => !waits)
      if (!holder || holder.pid === locks.chooser) return []
      return [
        (async () => {
          const started = await locks.startOf(holder.pid)
          // A process that began later than the file was touched took it later
          const since = Math.max(files.get(file)?.mtime ?? 0, started ?? 0)
          return { slot, pid: holder.pid, since }
        })(),
      ]
    }),
  )
  const uploads = names.upload.flatMap(on)
  return {
    configured,
    held: held.sort((a, b) => a.slot - b.slot),
    oldestSince: held.length ? Math.min(...held.map(({ since }) => since)) : null,
    upload: {
      holder: uploads.find(({ waits }) => !waits)?.pid ?? null,
      waiting: uploads.filter(({ waits }) => waits).map(({ pid }) => pid),
    },
    seesAll: locks.seesAll,
  }
}

/** Older news of the builder say nothing about now. */
const freshSeconds = 900

interface Known {
  readonly before: SlotsValue | null
  readonly remote: LocksValue | null
  readonly now: number
}

type Held = SlotsValue['held'][number]

/** Age alone is no fault: a build may take days. Stuck is what is old and surely builds nothing. */
const judge = (value: SlotsValue, oldest: number, known: Known): Outcome<SlotsValue> => {
  const stuck = value.held.flatMap(slot => {
    const why = slot.since < oldest ? idle(slot, value, known) : null
    return why ? [{ slot, why }] : []
  })
  const [first] = stuck
  if (!first) return { status: 'ok', value }
  const { slot, why } = stuck.reduce(
    (a, b) => (b.slot.since < a.slot.since ? b : a),
    first,
  )
  return {
    status: 'degraded',
    kind: 'slot_stuck',
    value,
    params: {
      slots: stuck.map(one => one.slot.slot).join(', '),
      hours: String(Math.floor((known.now - slot.since) / 3600)),
      pid: String(slot.pid),
      detail: why,
    },
  }
}

/** How we know that a hook builds nothing; null where it may. */
const idle = (slot: Held, { upload }: SlotsValue, known: Known): string | null => {
  if (slot.hasSsh === undefined) return null
  if (!slot.hasSsh) return 'it has no ssh any more'
  const { before, remote, now } = known
  // Whoever uploads, or waits to, has no build there yet
  if (upload.holder === slot.pid || upload.waiting.includes(slot.pid)) return null
  const hadUsed = before?.held.find(
    ({ pid, slot: number }) => pid === slot.pid && number === slot.slot,
  )?.cpuSeconds
  const moves = hadUsed === undefined || hadUsed !== slot.cpuSeconds
  const isFresh = remote !== null && now - remote.at < freshSeconds
  return !moves && isFresh && remote.buildUsers && remote.buildUsersHeld === 0
    ? 'nothing builds over there'
    : null
}

/** Are all slots of the builder held, so that another build would have to wait? */
export const isFull = ({ held, configured }: SlotsValue): boolean =>
  configured > 0 && held.filter(({ slot }) => slot < configured).length >= configured
