import { probeNames, type BuilderState, type ProbeName } from '../model.ts'
import {
  readProbe,
  readStanding,
  type Moment,
  type SamplesOf,
} from './builder-samples.ts'
import { joinTexts, textByFamily, type FamilyText } from './family-text.ts'

interface Kept {
  readonly text: FamilyText
  readonly intervals: Moment['intervals']
  readonly from: number
  /** When the first measurement in it is too old. */
  readonly until: number
}

const holds = (kept: Kept | undefined, { now, intervals }: Moment): kept is Kept =>
  kept !== undefined &&
  kept.intervals === intervals &&
  now >= kept.from &&
  now <= kept.until

/**
 * The lines of a builder. States and records never change, so the text of each is kept with it: after a round of
 * telemetry only what the telemetry told is written anew.
 */
export const createBuilderText = (
  samplesOf: SamplesOf,
): ((state: BuilderState, moment: Moment) => FamilyText) => {
  const byState = new WeakMap<BuilderState, Kept>()
  const byRecord = new WeakMap<object, Kept>()

  const probeText = (state: BuilderState, probe: ProbeName, moment: Moment): Kept => {
    const record = state.probes[probe]
    const before = record && byRecord.get(record)
    if (holds(before, moment)) return before
    const { samples, validUntil } = readProbe(
      state.builder,
      probe,
      record,
      moment,
      samplesOf,
    )
    const kept = {
      text: textByFamily(samples),
      intervals: moment.intervals,
      from: moment.now,
      until: validUntil,
    }
    if (record) byRecord.set(record, kept)
    return kept
  }

  return (state, moment) => {
    const before = byState.get(state)
    if (holds(before, moment)) return before.text
    const parts = probeNames.map(probe => probeText(state, probe, moment))
    const text = joinTexts([
      textByFamily(readStanding(state)),
      ...parts.map(part => part.text),
    ])
    byState.set(state, {
      text,
      intervals: moment.intervals,
      from: moment.now,
      until: Math.min(...parts.map(({ until }) => until)),
    })
    return text
  }
}
