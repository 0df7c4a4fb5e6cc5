import type { Builder, BuilderState, Finding, LocalNix } from '../../model/index.ts'
import { editMachine } from '../../nix/machines/edit-machine-line.ts'
import { formatOrigin } from './rule.ts'

/** Checks the list as a whole. */
export const lintList = (
  states: readonly BuilderState[],
  nix: LocalNix,
): readonly Finding[] => {
  const builders = states.map(({ builder }) => builder)
  return [...duplicates(builders), ...hiddenByMandatoryFeatures(states, nix)]
}

/** Finds lines for the same user on the same host and the same builds. */
const duplicates = (builders: readonly Builder[]): Finding[] => {
  const first = new Map<string, Builder>()
  return builders.flatMap(builder => {
    if (builder.host === null) return []
    const keys = builder.systems.map(system =>
      [
        builder.host,
        builder.port ?? builder.params['port'] ?? 22,
        builder.user,
        builder.params['remote-store'] ?? '',
        system,
        ...[...builder.mandatoryFeatures].sort(),
      ].join(' '),
    )
    const duplicate = keys.map(key => first.get(key)).find(Boolean)
    for (const key of keys) if (!first.has(key)) first.set(key, builder)
    if (!duplicate) return []
    const consequence =
      duplicate.storeUri === builder.storeUri
        ? 'both share their slots'
        : `both together run up to ${duplicate.maxJobs + builder.maxJobs} builds at once`
    return [
      {
        builder: builder.name,
        rule: 'duplicate_machine',
        message: `${builder.host} is listed twice for the same builds, and ${consequence}; remove this line (${formatOrigin(builder)}; the other: ${formatOrigin(duplicate)})`,
        fix: duplicate.line,
      },
    ]
  })
}

/** Finds mandatory features that the builder refuses, or that leave a system without a builder for ordinary builds. */
const hiddenByMandatoryFeatures = (
  states: readonly BuilderState[],
  nix: LocalNix,
): Finding[] =>
  states.flatMap(({ builder, probes }) => {
    const { mandatoryFeatures } = builder
    if (mandatoryFeatures.length === 0) return []
    const outcome = probes.system?.lastSuccess?.outcome
    const system = outcome && 'value' in outcome ? outcome.value : undefined
    const unsupported = mandatoryFeatures.filter(feature =>
      system?.missingFeatures.includes(feature),
    )
    const uncoveredSystems = builder.systems.filter(
      name =>
        name !== nix.system &&
        !states.some(
          other =>
            other.builder.mandatoryFeatures.length === 0 &&
            other.builder.systems.includes(name),
        ),
    )
    const names = mandatoryFeatures.join(' and ')
    const explanation =
      unsupported.length > 0
        ? `only builds that require ${names} go there, and it refuses those that require ${unsupported.join(', ')}`
        : uncoveredSystems.length > 0
          ? `only builds that require ${names} go there, and no other builder takes ordinary builds for ${uncoveredSystems.join(', ')}`
          : isOnlyChoice(states, builder)
            ? `only builds that require ${names} go there, so ordinary builds have no builder`
            : null
    return explanation === null
      ? []
      : [
          {
            builder: builder.name,
            rule: 'mandatory_hides',
            message: `${explanation} (${formatOrigin(builder)})`,
            fix: lineWithoutMandatory(builder, unsupported),
          },
        ]
  })

const isOnlyChoice = (states: readonly BuilderState[], builder: Builder): boolean =>
  states.every(
    other =>
      other.builder.mandatoryFeatures.length > 0 ||
      !other.builder.systems.some(system => builder.systems.includes(system)),
  )

const lineWithoutMandatory = (
  builder: Builder,
  unsupported: readonly string[],
): string => {
  const all = new Set([...builder.supportedFeatures, ...builder.mandatoryFeatures])
  const features = [...all].filter(feature => !unsupported.includes(feature))
  return editMachine(builder, { 6: features.join(',') || '-', 7: '-' })
}
