import { probeNames, type BuilderState, type Sample, type Snapshot } from '../model.ts'
import {
  readProbe,
  readStanding,
  type Moment,
  type SamplesOf,
} from './builder-samples.ts'
import { readFleet } from './fleet-samples.ts'

interface Kept {
  readonly intervals: Moment['intervals']
  readonly from: number
  readonly until: number
  readonly samples: readonly Sample[]
}

/** What /metrics would print of some families at a Unix time. States never change, so what was read of them is kept. */
export const createReadSamples = (
  samplesOf: SamplesOf,
  families: ReadonlySet<string>,
): ((snapshot: Snapshot, now: number) => readonly Sample[]) => {
  const known = new WeakMap<BuilderState, Kept>()
  const wanted = ({ family }: Sample) => families.has(family)
  const readBuilder = (state: BuilderState, moment: Moment): readonly Sample[] => {
    const { now, intervals } = moment
    const before = known.get(state)
    if (before?.intervals === intervals && now >= before.from && now <= before.until)
      return before.samples
    const readings = probeNames.map(probe =>
      readProbe(state.builder, probe, state.probes[probe], moment, samplesOf),
    )
    const samples = [
      ...readStanding(state),
      ...readings.flatMap(reading => reading.samples),
    ].filter(wanted)
    const until = Math.min(...readings.map(({ validUntil }) => validUntil))
    known.set(state, { intervals, from: now, until, samples })
    return samples
  }
  return (snapshot, now) => {
    const moment = { now, intervals: snapshot.monitor.intervals }
    return [
      ...[...snapshot.builders.values()].flatMap(state => readBuilder(state, moment)),
      ...readFleet(snapshot, '', now).filter(wanted),
    ]
  }
}
