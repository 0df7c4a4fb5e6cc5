import type { BuilderState, Snapshot } from '../model/index.ts'
import { freshUntil, resultValue, type FreshnessContext } from './freshness.ts'

/** A system with a feature, and the builders that can build it. */
export interface Capability {
  readonly system: string
  /** Empty for builds that require no feature. */
  readonly feature: string
  /** Names of the builders that advertise it in the builders list. */
  readonly advertised: readonly string[]
  /** Names of those that are verified by a recent build. */
  readonly verified: readonly string[]
}

/** Lists every system with every feature that the builders list advertises. */
export const listCapabilities = (
  { builders }: Snapshot,
  context: FreshnessContext,
): readonly Capability[] => {
  const byKey = new Map<
    string,
    { advertised: string[]; verified: string[] } & CapabilityKey
  >()
  for (const state of builders.values()) {
    const { builder } = state
    const systems = verifiedSystems(state, context)
    const missing = resultValue(state.probes.system?.lastSuccess)?.missingFeatures ?? []
    for (const system of new Set(builder.systems))
      for (const feature of advertisedFeatures(builder)) {
        const key = `${system}\0${feature}`
        const capability = byKey.get(key) ?? {
          system,
          feature,
          advertised: [],
          verified: [],
        }
        byKey.set(key, capability)
        capability.advertised.push(builder.name)
        if (systems.has(system) && !missing.includes(feature))
          capability.verified.push(builder.name)
      }
  }
  return [...byKey.values()]
}

type CapabilityKey = Pick<Capability, 'system' | 'feature'>

/**
 * Features of which a build may require exactly one on this builder; '' is a build without features. Nix sends only
 * builds with all mandatory features to a builder that has some.
 */
export const advertisedFeatures = ({
  supportedFeatures,
  mandatoryFeatures,
}: BuilderState['builder']): ReadonlySet<string> =>
  new Set(
    ['', ...supportedFeatures, ...mandatoryFeatures].filter(feature =>
      mandatoryFeatures.every(mandatory => mandatory === feature),
    ),
  )

/** Systems of the last fresh canary build, or of a direct build where there is no local Nix for canaries. */
const verifiedSystems = (
  { probes, health }: BuilderState,
  { now, intervals }: FreshnessContext,
): ReadonlySet<string> => {
  const lastBuild = probes.canary?.conclusive ?? probes.direct?.conclusive
  if (health.state !== 'healthy' && health.state !== 'degraded') return new Set()
  if (!lastBuild || now > freshUntil(lastBuild, intervals)) return new Set()
  return new Set(
    (resultValue(lastBuild)?.runs ?? [])
      .filter(({ outcome, feature }) => outcome === 'ok' && feature === undefined)
      .map(({ system }) => system),
  )
}
