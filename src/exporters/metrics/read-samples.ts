import {
  probeNames,
  type BuilderState,
  type ProbeName,
  type Sample,
  type Snapshot,
} from '../../model.ts'
import {
  readProbe,
  readStanding,
  type Moment,
  type SamplesOf,
} from './builder-samples.ts'
import { readJudged } from './fleet-samples.ts'

interface Kept {
  readonly builder: string
  readonly intervals: Moment['intervals']
  readonly from: number
  readonly until: number
  readonly samples: readonly Sample[]
}

/**
 * What /metrics would print of some families at a Unix time, those of the fleet that alerts judge among them. States and
 * records never change, so what was read of them is kept.
 */
export const createReadSamples = (
  samplesOf: SamplesOf,
  families: ReadonlySet<string>,
): ((snapshot: Snapshot, now: number) => readonly Sample[]) => {
  const known = new WeakMap<object, Kept>()
  const wanted = ({ family }: Sample) => families.has(family)
  /** Reads anew only where nothing that holds was read of the source. */
  const read = (
    source: object | undefined,
    builder: string,
    moment: Moment,
    reading: () => Pick<Kept, 'samples' | 'until'>,
  ): Kept => {
    const before = source && known.get(source)
    if (before && holds(before, builder, moment)) return before
    const { now: from, intervals } = moment
    const kept = { builder, intervals, from, ...reading() }
    if (source) known.set(source, kept)
    return kept
  }
  const readRecord = (state: BuilderState, probe: ProbeName, moment: Moment): Kept => {
    const record = state.probes[probe]
    return read(record, state.builder.name, moment, () => {
      const found = readProbe(state.builder, probe, record, moment, samplesOf)
      return { samples: found.samples.filter(wanted), until: found.validUntil }
    })
  }
  const readBuilder = (state: BuilderState, moment: Moment): Kept =>
    read(state, state.builder.name, moment, () => {
      const parts = probeNames.map(probe => readRecord(state, probe, moment))
      return {
        samples: [
          ...readStanding(state).filter(wanted),
          ...parts.flatMap(({ samples }) => samples),
        ],
        until: Math.min(...parts.map(({ until }) => until)),
      }
    })
  return (snapshot, now) => {
    const moment = { now, intervals: snapshot.monitor.intervals }
    const samples = [...readJudged(snapshot, now)]
    for (const state of snapshot.builders.values())
      samples.push(...readBuilder(state, moment).samples)
    return samples
  }
}

const holds = (kept: Kept, builder: string, { now, intervals }: Moment): boolean =>
  builder === kept.builder &&
  intervals === kept.intervals &&
  now >= kept.from &&
  now <= kept.until
