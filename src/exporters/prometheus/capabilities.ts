import type { BuilderState, Snapshot } from '../../model/index.ts'
import { freshUntil, resultValue, type SampleContext } from './builder-samples.ts'

/** One thing that a build may ask for, and who can do it. */
export interface Capability {
  readonly system: string
  /** Empty for a build that asks for none. */
  readonly feature: string
  /** Names of the builders that the list promises it of. */
  readonly advertised: readonly string[]
  /** Those of them that are proven able to do it now. */
  readonly verified: readonly string[]
}

/** Every system with every feature that the list promises; where nobody is able builds will feel it. */
export const listCapabilities = (
  { builders }: Snapshot,
  context: SampleContext,
): readonly Capability[] => {
  const byKey = new Map<
    string,
    { advertised: string[]; verified: string[] } & CapabilityKey
  >()
  for (const state of builders.values()) {
    const { builder } = state
    const verifiedNow = verifiedSystems(state, context)
    const missing = resultValue(state.probes.system?.lastSuccess)?.missingFeatures ?? []
    for (const system of new Set(builder.systems))
      for (const feature of advertisedFeatures(builder)) {
        const key = `${system}\0${feature}`
        const one = byKey.get(key) ?? { system, feature, advertised: [], verified: [] }
        byKey.set(key, one)
        one.advertised.push(builder.name)
        if (verifiedNow.has(system) && !missing.includes(feature))
          one.verified.push(builder.name)
      }
  }
  return [...byKey.values()]
}

type CapabilityKey = Pick<Capability, 'system' | 'feature'>

/** Features that a build may ask for alone and come here; '' is a build without any. Nix sends no other to mandatory ones. */
const advertisedFeatures = ({
  supportedFeatures,
  mandatoryFeatures,
}: BuilderState['builder']): ReadonlySet<string> =>
  new Set(
    ['', ...supportedFeatures, ...mandatoryFeatures].filter(feature =>
      mandatoryFeatures.every(mandatory => mandatory === feature),
    ),
  )

/** What a canary has built there; where no canary can be sent (no local Nix), what a direct build has. */
const verifiedSystems = (
  { probes, health }: BuilderState,
  { now, intervals }: SampleContext,
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
