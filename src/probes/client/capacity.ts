import type { Builder, ClientOutcome } from '../../model/index.ts'
import { outcome, ok, type ClientContext } from './outcome.ts'

/** Checks whether a line of the list takes a build for the system of this machine that requires no features. */
export const checkCapacity = ({ active }: ClientContext): ClientOutcome => {
  const { builders, nix, source } = active
  if (source === 'demo' || builders.length === 0)
    return outcome('skipped', 'not_applicable', { detail: 'there is no builder' })
  const reasons = builders.map(builder => explainNoBuilds(builder, nix.system))
  if (reasons.some(reason => reason === null)) return ok
  const detail = [...new Set(reasons)].join('; ')
  const buildsHere = nix.settings?.['max-jobs']?.value !== '0'
  // Lists of builders for other systems only are normal where this machine builds for itself
  if (buildsHere && builders.some(({ systems }) => !takes(systems, nix.system))) return ok
  return outcome(buildsHere ? 'degraded' : 'failed', 'no_plain_builder', {
    system: nix.system,
    detail,
    origin: builders[0] ? `${builders[0].origin.file}:${builders[0].origin.line}` : '-',
  })
}

const takes = (systems: readonly string[], system: string): boolean =>
  systems.length === 0 || systems.includes(system)

/** Returns why ordinary builds never go there (build-remote.cc); null if they do. */
const explainNoBuilds = (
  { maxJobs, systems, mandatoryFeatures }: Builder,
  system: string,
): string | null => {
  if (maxJobs === 0) return 'lines with maxJobs 0'
  if (!takes(systems, system)) return `lines for other systems than ${system}`
  return mandatoryFeatures.length > 0 ? 'lines with mandatory features' : null
}
