import type { Sample } from '../model.ts'

/** What an expression yields. */
export type Labelled = Pick<Sample, 'labels' | 'value'>

/** The samples of one moment, as conditions see them: the same that /metrics prints. */
export interface Series {
  /** Unix seconds; PromQL's `time()`. */
  readonly now: number
  /** The samples of a family whose labels are so. */
  of(family: string, match?: Sample['labels']): readonly Labelled[]
  /** The value of the first of them. */
  one(family: string, match?: Sample['labels']): number | undefined
  /** How much each series of a counter rose within an hour. */
  increaseOverHour(family: string): readonly Labelled[]
}

export const seriesOf = (
  samples: readonly Sample[],
  now: number,
  increaseOverHour: Series['increaseOverHour'],
): Series => {
  const byFamily = new Map<string, Sample[]>()
  for (const sample of samples) {
    const known = byFamily.get(sample.family)
    if (known) known.push(sample)
    else byFamily.set(sample.family, [sample])
  }
  const of: Series['of'] = (family, match = {}) => {
    const wanted = Object.entries(match)
    return (byFamily.get(family) ?? []).filter(({ labels }) =>
      wanted.every(([label, value]) => (labels[label] ?? '') === value),
    )
  }
  return {
    now,
    of,
    one: (family, match) => of(family, match)[0]?.value,
    increaseOverHour,
  }
}

/** `== value` */
export const is =
  (wanted: number) =>
  ({ value }: Labelled): boolean =>
    value === wanted

/** `time() - X` */
export const agesOf = ({ now }: Series, samples: readonly Labelled[]): Labelled[] =>
  samples.map(({ labels, value }) => ({ labels, value: now - value }))

/** `X unless on (builder) Y` */
export const unlessBuilderOf = (
  samples: readonly Labelled[],
  others: readonly Labelled[],
): Labelled[] => {
  const builders = buildersOf(others)
  return samples.filter(({ labels }) => !builders.has(labels['builder']))
}

/** `X and on (builder) Y` */
export const ofBuilderOf = (
  samples: readonly Labelled[],
  others: readonly Labelled[],
): Labelled[] => {
  const builders = buildersOf(others)
  return samples.filter(({ labels }) => builders.has(labels['builder']))
}

/** `X unless (builder_monitor_suspect == 1)` */
export const unlessSuspect = (
  series: Series,
  samples: readonly Labelled[],
): readonly Labelled[] => (series.one('builder_monitor_suspect') === 1 ? [] : samples)

/** `max by (builder)` */
export const newestByBuilder = (samples: readonly Labelled[]): Labelled[] => {
  const newest = new Map<string, number>()
  for (const { labels, value } of samples) {
    const builder = labels['builder'] ?? ''
    newest.set(builder, Math.max(newest.get(builder) ?? -Infinity, value))
  }
  return [...newest].map(([builder, value]) => ({ labels: { builder }, value }))
}

/** Builders in one of these states. */
export const inStates = (series: Series, states: readonly string[]): Labelled[] =>
  states.flatMap(state => series.of('nix_builder_state', { state }).filter(is(1)))

/** Whether the labels are those of the other. */
export const hasLabelsOf =
  ({ labels: wanted }: Labelled) =>
  ({ labels }: Labelled): boolean =>
    Object.keys(labels).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([label, value]) => labels[label] === value)

const buildersOf = (samples: readonly Labelled[]): ReadonlySet<string | undefined> =>
  new Set(samples.map(({ labels }) => labels['builder']))
