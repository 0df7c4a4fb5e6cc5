import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type ProbeRecord,
} from '../../model/index.ts'
import {
  collectProbeSamples,
  collectStateSamples,
  type SampleContext,
  type CollectSamples,
} from './builder-samples.ts'
import {
  indexByFamily,
  joinByFamily,
  renderSamples,
  type FamilyLines,
  type IndexedLines,
} from './family-lines.ts'

/** What something was made of, and how long it holds. */
interface CacheEntry<T> {
  readonly source: T
  readonly intervals: SampleContext['intervals']
  readonly validFrom: number
  /** When the first measurement in it is too old. */
  readonly validUntil: number
}

interface CachedProbe extends CacheEntry<ProbeRecord | undefined> {
  readonly lines: readonly IndexedLines[]
}

interface CachedBuilder extends CacheEntry<BuilderState> {
  readonly parts: readonly CachedProbe[]
  readonly lines: FamilyLines
}

const isValid = <T>(
  entries: CacheEntry<T> | undefined,
  source: T,
  { now, intervals }: SampleContext,
): boolean =>
  entries !== undefined &&
  entries.source === source &&
  entries.intervals === intervals &&
  now >= entries.validFrom &&
  now <= entries.validUntil

/**
 * The lines of each builder. States and records never change, so their text is kept for the next time: after a round
 * of telemetry only what the telemetry told is written anew. Builders that left are forgotten.
 */
export const createBuilderLines = (
  collectSamples: CollectSamples,
): ((
  states: Iterable<BuilderState>,
  context: SampleContext,
) => readonly FamilyLines[]) => {
  let cache: ReadonlyMap<string, CachedBuilder> = new Map()

  const renderProbe = (
    state: BuilderState,
    probe: ProbeName,
    context: SampleContext,
  ): CachedProbe => {
    const source = state.probes[probe]
    const { samples, validUntil } = collectProbeSamples(
      state.builder,
      probe,
      source,
      context,
      collectSamples,
    )
    return {
      source,
      lines: renderSamples(samples),
      intervals: context.intervals,
      validFrom: context.now,
      validUntil,
    }
  }

  const renderBuilder = (state: BuilderState, context: SampleContext): CachedBuilder => {
    const cached = cache.get(state.builder.name)
    if (cached && isValid(cached, state, context)) return cached
    const isSame = cached?.source.builder === state.builder
    const parts = probeNames.map((probe, i) => {
      const part = isSame ? cached.parts[i] : undefined
      return part && isValid(part, state.probes[probe], context)
        ? part
        : renderProbe(state, probe, context)
    })
    return {
      source: state,
      parts,
      lines: indexByFamily(
        joinByFamily([
          ...renderSamples(collectStateSamples(state)),
          ...parts.flatMap(({ lines }) => lines),
        ]),
      ),
      intervals: context.intervals,
      validFrom: context.now,
      validUntil: Math.min(...parts.map(({ validUntil: until }) => until)),
    }
  }

  return (states, context) => {
    const entries = [...states].map(state => renderBuilder(state, context))
    cache = new Map(entries.map(one => [one.source.builder.name, one]))
    return entries.map(({ lines: text }) => text)
  }
}
