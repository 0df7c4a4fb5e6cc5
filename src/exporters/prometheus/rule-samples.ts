import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type Sample,
  type Snapshot,
} from '../../model/index.ts'
import {
  collectProbeSamples,
  collectStateSamples,
  type CollectSamples,
} from './builder-samples.ts'
import type { FreshnessContext } from '../../diagnosis/freshness.ts'
import { collectRuleInputs } from './fleet-samples.ts'

interface CacheEntry {
  readonly builder: string
  readonly intervals: FreshnessContext['intervals']
  readonly validFrom: number
  readonly until: number
  readonly samples: readonly Sample[]
}

/**
 * Creates a function that returns the samples of some families at a Unix time, as /metrics would print them, for alert
 * rules. Samples are cached by the identity of the immutable states and records.
 */
export const createRuleSampleCollector = (
  collectSamples: CollectSamples,
  families: ReadonlySet<string>,
): ((snapshot: Snapshot, now: number) => readonly Sample[]) => {
  const cache = new WeakMap<object, CacheEntry>()
  const isWanted = ({ family }: Sample) => families.has(family)
  /** Returns the cached entry of the source while it is valid. */
  const readCached = (
    source: object | undefined,
    builder: string,
    context: FreshnessContext,
    collect: () => Pick<CacheEntry, 'samples' | 'until'>,
  ): CacheEntry => {
    const cached = source && cache.get(source)
    if (cached && isValid(cached, builder, context)) return cached
    const { now: validFrom, intervals } = context
    const entry = { builder, intervals, validFrom, ...collect() }
    if (source) cache.set(source, entry)
    return entry
  }
  const readProbe = (
    state: BuilderState,
    probe: ProbeName,
    context: FreshnessContext,
  ): CacheEntry => {
    const record = state.probes[probe]
    return readCached(record, state.builder.name, context, () => {
      const collected = collectProbeSamples(
        state.builder,
        probe,
        record,
        context,
        collectSamples,
      )
      return { samples: collected.samples.filter(isWanted), until: collected.validUntil }
    })
  }
  const readBuilder = (state: BuilderState, context: FreshnessContext): CacheEntry =>
    readCached(state, state.builder.name, context, () => {
      const parts = probeNames.map(probe => readProbe(state, probe, context))
      return {
        samples: [
          ...collectStateSamples(state).filter(isWanted),
          ...parts.flatMap(({ samples }) => samples),
        ],
        until: Math.min(...parts.map(({ until }) => until)),
      }
    })
  return (snapshot, now) => {
    const context = { now, intervals: snapshot.monitor.intervals }
    const samples = [...collectRuleInputs(snapshot, now)]
    for (const state of snapshot.builders.values())
      samples.push(...readBuilder(state, context).samples)
    return samples
  }
}

const isValid = (
  entry: CacheEntry,
  builder: string,
  { now, intervals }: FreshnessContext,
): boolean =>
  builder === entry.builder &&
  intervals === entry.intervals &&
  now >= entry.validFrom &&
  now <= entry.until
