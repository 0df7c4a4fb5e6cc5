import type { Sample } from '../model/index.ts'

/** What an expression yields. */
export type LabeledValue = Pick<Sample, 'labels' | 'value'>

/** The samples of one moment, as conditions see them: the same that /metrics prints. */
export interface SampleSet {
  /** Unix seconds; PromQL's `time()`. */
  readonly now: number
  /** The samples of a family whose labels are so. */
  select(family: string, match?: Sample['labels']): readonly LabeledValue[]
  /** The value of the first of them. */
  selectValue(family: string, match?: Sample['labels']): number | undefined
  /** How much each series of a counter rose within an hour. */
  increaseOverHour(family: string): readonly LabeledValue[]
}

export const createSampleSet = (
  samples: readonly Sample[],
  now: number,
  increaseOverHour: SampleSet['increaseOverHour'],
): SampleSet => {
  const byFamily = new Map<string, Sample[]>()
  for (const sample of samples) {
    const known = byFamily.get(sample.family)
    if (known) known.push(sample)
    else byFamily.set(sample.family, [sample])
  }
  const select: SampleSet['select'] = (family, match = {}) => {
    const wanted = Object.entries(match)
    return (byFamily.get(family) ?? []).filter(({ labels }) =>
      wanted.every(([label, value]) => (labels[label] ?? '') === value),
    )
  }
  return {
    now,
    select,
    selectValue: (family, match) => select(family, match)[0]?.value,
    increaseOverHour,
  }
}

/** `== value` */
export const valueIs =
  (wanted: number) =>
  ({ value }: LabeledValue): boolean =>
    value === wanted

/** `time() - X` */
export const toAges = (
  { now }: SampleSet,
  samples: readonly LabeledValue[],
): LabeledValue[] => samples.map(({ labels, value }) => ({ labels, value: now - value }))

/** `X unless on (builder) Y` */
export const excludeBuildersIn = (
  samples: readonly LabeledValue[],
  others: readonly LabeledValue[],
): LabeledValue[] => {
  const builders = builderNames(others)
  return samples.filter(({ labels }) => !builders.has(labels['builder']))
}

/** `X and on (builder) Y` */
export const selectBuildersIn = (
  samples: readonly LabeledValue[],
  others: readonly LabeledValue[],
): LabeledValue[] => {
  const builders = builderNames(others)
  return samples.filter(({ labels }) => builders.has(labels['builder']))
}

/** `X unless (builder_monitor_self_check_failed == 1)` */
export const emptyIfSelfCheckFailed = (
  series: SampleSet,
  samples: readonly LabeledValue[],
): readonly LabeledValue[] =>
  series.selectValue('builder_monitor_self_check_failed') === 1 ? [] : samples

/** `max by (builder)` */
export const maxByBuilder = (samples: readonly LabeledValue[]): LabeledValue[] => {
  const newest = new Map<string, number>()
  for (const { labels, value } of samples) {
    const builder = labels['builder'] ?? ''
    newest.set(builder, Math.max(newest.get(builder) ?? -Infinity, value))
  }
  return [...newest].map(([builder, value]) => ({ labels: { builder }, value }))
}

/** Builders in one of these states. */
export const buildersInStates = (
  series: SampleSet,
  states: readonly string[],
): LabeledValue[] =>
  states.flatMap(state =>
    series.select('nix_builder_state', { state }).filter(valueIs(1)),
  )

/** Whether the labels are those of the other. */
export const hasSameLabels =
  ({ labels: wanted }: LabeledValue) =>
  ({ labels }: LabeledValue): boolean =>
    Object.keys(labels).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([label, value]) => labels[label] === value)

const builderNames = (
  samples: readonly LabeledValue[],
): ReadonlySet<string | undefined> =>
  new Set(samples.map(({ labels }) => labels['builder']))
