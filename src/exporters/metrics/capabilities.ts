import type { BuilderState, Snapshot } from '../../model.ts'
import { freshUntil, valueOf, type Moment } from './builder-samples.ts'

/** One thing that a build may ask for, and who can do it. */
export interface Capability {
  readonly system: string
  /** Empty for a build that asks for none. */
  readonly feature: string
  /** Names of the builders that the list promises it of. */
  readonly promised: readonly string[]
  /** Those of them that are proven able to do it now. */
  readonly able: readonly string[]
}

/** Every system with every feature that the list promises; where nobody is able builds will feel it. */
export const capabilitiesOf = (
  { builders }: Snapshot,
  moment: Moment,
): readonly Capability[] => {
  const found = new Map<string, { promised: string[]; able: string[] } & Wish>()
  for (const state of builders.values()) {
    const { builder } = state
    const proven = provenSystems(state, moment)
    const missing = valueOf(state.probes.system?.lastGood)?.missingFeatures ?? []
    for (const system of new Set(builder.systems))
      for (const feature of promisedFeatures(builder)) {
        const key = `${system}\0${feature}`
        const one = found.get(key) ?? { system, feature, promised: [], able: [] }
        found.set(key, one)
        one.promised.push(builder.name)
        if (proven.has(system) && !missing.includes(feature)) one.able.push(builder.name)
      }
  }
  return [...found.values()]
}

type Wish = Pick<Capability, 'system' | 'feature'>

/** Features that a build may ask for alone and come here; '' is a build without any. Nix sends no other to mandatory ones. */
const promisedFeatures = ({
  supportedFeatures,
  mandatoryFeatures,
}: BuilderState['builder']): ReadonlySet<string> =>
  new Set(
    ['', ...supportedFeatures, ...mandatoryFeatures].filter(feature =>
      mandatoryFeatures.every(mandatory => mandatory === feature),
    ),
  )

/** What a canary has built there; where no canary can be sent (no local Nix), what a direct build has. */
const provenSystems = (
  { probes, verdict }: BuilderState,
  { now, intervals }: Moment,
): ReadonlySet<string> => {
  const proof = probes.canary?.conclusive ?? probes.direct?.conclusive
  if (verdict.state !== 'healthy' && verdict.state !== 'degraded') return new Set()
  if (!proof || now > freshUntil(proof, intervals)) return new Set()
  return new Set(
    (valueOf(proof)?.runs ?? [])
      .filter(({ outcome, feature }) => outcome === 'ok' && feature === undefined)
      .map(({ system }) => system),
  )
}
