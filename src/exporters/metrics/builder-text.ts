import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type ProbeRecord,
} from '../../model.ts'
import {
  readProbe,
  readStanding,
  type Moment,
  type SamplesOf,
} from './builder-samples.ts'
import {
  byFamily,
  gather,
  textsOf,
  type FamilyText,
  type PlacedText,
} from './family-text.ts'

/** What something was made of, and how long it holds. */
interface Kept<T> {
  readonly source: T
  readonly intervals: Moment['intervals']
  readonly from: number
  /** When the first measurement in it is too old. */
  readonly until: number
}

interface KeptProbe extends Kept<ProbeRecord | undefined> {
  readonly texts: readonly PlacedText[]
}

interface KeptBuilder extends Kept<BuilderState> {
  readonly parts: readonly KeptProbe[]
  readonly text: FamilyText
}

const holds = <T>(
  kept: Kept<T> | undefined,
  source: T,
  { now, intervals }: Moment,
): boolean =>
  kept !== undefined &&
  kept.source === source &&
  kept.intervals === intervals &&
  now >= kept.from &&
  now <= kept.until

/**
 * The lines of each builder. States and records never change, so their text is kept for the next time: after a round
 * of telemetry only what the telemetry told is written anew. Builders that left are forgotten.
 */
export const createBuilderText = (
  samplesOf: SamplesOf,
): ((states: Iterable<BuilderState>, moment: Moment) => readonly FamilyText[]) => {
  let known: ReadonlyMap<string, KeptBuilder> = new Map()

  const probePart = (
    state: BuilderState,
    probe: ProbeName,
    moment: Moment,
  ): KeptProbe => {
    const source = state.probes[probe]
    const { samples, validUntil } = readProbe(
      state.builder,
      probe,
      source,
      moment,
      samplesOf,
    )
    return {
      source,
      texts: textsOf(samples),
      intervals: moment.intervals,
      from: moment.now,
      until: validUntil,
    }
  }

  const write = (state: BuilderState, moment: Moment): KeptBuilder => {
    const before = known.get(state.builder.name)
    if (before && holds(before, state, moment)) return before
    const isSame = before?.source.builder === state.builder
    const parts = probeNames.map((probe, i) => {
      const part = isSame ? before.parts[i] : undefined
      return part && holds(part, state.probes[probe], moment)
        ? part
        : probePart(state, probe, moment)
    })
    return {
      source: state,
      parts,
      text: byFamily(
        gather([...textsOf(readStanding(state)), ...parts.flatMap(({ texts }) => texts)]),
      ),
      intervals: moment.intervals,
      from: moment.now,
      until: Math.min(...parts.map(({ until }) => until)),
    }
  }

  return (states, moment) => {
    const kept = [...states].map(state => write(state, moment))
    known = new Map(kept.map(one => [one.source.builder.name, one]))
    return kept.map(({ text }) => text)
  }
}
