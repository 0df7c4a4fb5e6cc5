import { advertisedFeatures } from '../diagnosis/capabilities.ts'
import type { Builder, RetainReason } from '../model/index.ts'

/** At most this part of the fleet is quarantined, but always one builder. */
const maxShare = 1 / 3
/** When more than this part of the fleet fails, the fault is more likely here: no builder is quarantined (as in Envoy). */
const panicShare = 1 / 2

/** Returns whether so many builders fail that all are released. */
export const isPanic = (failing: number, total: number): boolean =>
  total > 1 && failing > total * panicShare

const capabilitiesOf = (builder: Builder): readonly string[] =>
  [...new Set(builder.systems)].flatMap(system =>
    [...advertisedFeatures(builder)].map(feature => `${system}\0${feature}`),
  )

/**
 * Returns why each of `failing`, in this order, stays in service; null for those that can be quarantined. `available`: the
 * builders that are not drained.
 */
export const applyFloors = (
  failing: readonly string[],
  available: readonly Builder[],
): ReadonlyMap<string, RetainReason | null> => {
  const limit = Math.max(1, Math.floor(available.length * maxShare))
  const inService = new Map<string, number>()
  const capabilities = new Map<string, readonly string[]>()
  for (const builder of available) {
    const own = builder.maxJobs > 0 ? capabilitiesOf(builder) : []
    capabilities.set(builder.name, own)
    for (const key of own) inService.set(key, (inService.get(key) ?? 0) + 1)
  }
  let quarantined = 0
  const reasonFor = (name: string): RetainReason | null => {
    const own = capabilities.get(name) ?? []
    if (own.some(key => inService.get(key) === 1)) return 'floor'
    if (quarantined >= limit) return 'share'
    quarantined++
    for (const key of own) inService.set(key, (inService.get(key) ?? 0) - 1)
    return null
  }
  return new Map(failing.map(name => [name, reasonFor(name)]))
}
