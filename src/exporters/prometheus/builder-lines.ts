import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type ProbeRecord,
} from '../../model/index.ts'
import type { FreshnessContext } from '../../diagnosis/freshness.ts'
import {
  collectProbeSamples,
  collectStateSamples,
  type CollectSamples,
} from './builder-samples.ts'
import {
  indexByFamily,
  joinByFamily,
  renderSamples,
  type FamilyLines,
  type IndexedLines,
} from './family-lines.ts'

/** The source of cached lines, and while they are valid. */
interface CacheEntry<T> {
  readonly source: T
  readonly intervals: FreshnessContext['intervals']
  readonly validFrom: number
  /** Unix seconds until its first measurement expires. */
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
  entry: CacheEntry<T> | undefined,
  source: T,
  { now, intervals }: FreshnessContext,
): boolean =>
  entry !== undefined &&
  entry.source === source &&
  entry.intervals === intervals &&
  now >= entry.validFrom &&
  now <= entry.validUntil

/**
 * Creates a function that renders the lines of each builder. Lines are cached by the identity of the immutable states
 * and records, so only changed probes are rendered again. Removed builders leave the cache.
 */
export const createBuilderLines = (
  collectSamples: CollectSamples,
): ((
  states: Iterable<BuilderState>,
  context: FreshnessContext,
) => readonly FamilyLines[]) => {
  let cache: ReadonlyMap<string, CachedBuilder> = new Map()

  const renderProbe = (
    state: BuilderState,
    probe: ProbeName,
    context: FreshnessContext,
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

  const renderBuilder = (
    state: BuilderState,
    context: FreshnessContext,
  ): CachedBuilder => {
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

/** Creates a function that renders the metrics of one builder as Prometheus text. */
export const createRenderMetrics =
  (collectSamples: CollectSamples) =>
  (state: BuilderState, context: FreshnessContext): string =>
    createBuilderLines(collectSamples)([state], context)
      .map(lines => lines.join(''))
      .join('')
