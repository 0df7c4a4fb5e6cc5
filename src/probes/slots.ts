import type { Builder, Outcome, Probe, Sample, SlotsValue } from '../model.ts'
import { lockNames } from '../nix/lock-names.ts'
import type { ReadSlotLocks, SlotLocks } from './slot-locks.ts'

export interface SlotsDeps {
  readonly readLocks: ReadSlotLocks
  /** Seconds after which a held slot is called stuck. */
  readonly stuckAfterSeconds: () => number
}

/** How many slots of the builder this client holds now, and who uploads or waits to. Takes no lock itself. */
export const createSlotsProbe = (deps: SlotsDeps): Probe<'slots'> => ({
  name: 'slots',
  summary: 'slots that this machine holds, since when, and the upload lock',
  timeoutMs: 3000,
  run: async ({ builder, clock }) => {
    const locks = await deps.readLocks()
    if ('unreadable' in locks)
      return { status: 'skipped', kind: 'not_told', params: { detail: locks.unreadable } }
    const value = await slotsOf(locks, builder.storeUri, builder.maxJobs)
    return judge(value, clock.now() / 1000, deps.stuckAfterSeconds())
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

const judge = (
  value: SlotsValue,
  now: number,
  stuckAfterSeconds: number,
): Outcome<SlotsValue> => {
  const stuck = value.held.filter(({ since }) => now - since > stuckAfterSeconds)
  const [first] = stuck
  if (!first) return { status: 'ok', value }
  const oldest = stuck.reduce((a, b) => (b.since < a.since ? b : a), first)
  return {
    status: 'degraded',
    kind: 'slot_stuck',
    value,
    params: {
      slots: stuck.map(({ slot }) => slot).join(', '),
      hours: String(Math.floor((now - oldest.since) / 3600)),
      pid: String(oldest.pid),
    },
  }
}

/** Are all slots of the builder held, so that another build would have to wait? */
export const isFull = ({ held, configured }: SlotsValue): boolean =>
  configured > 0 && held.filter(({ slot }) => slot < configured).length >= configured
