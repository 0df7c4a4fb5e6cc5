import type { Sample } from '../model/index.ts'

export type LabeledValue = Pick<Sample, 'labels' | 'value'>

/** The samples that rules evaluate: the same that /metrics prints. */
export interface SampleSet {
  /** Unix seconds, `time()` in PromQL. */
  readonly now: number
  /** Returns the samples of a family with these labels. */
  select(family: string, match?: Sample['labels']): readonly LabeledValue[]
  /** Returns the value of the first of them. */
  selectValue(family: string, match?: Sample['labels']): number | undefined
  /** Returns the increase of each series of a counter in the last hour. */
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

/** Returns the builders in one of these states. */
export const buildersInStates = (
  series: SampleSet,
  states: readonly string[],
): LabeledValue[] =>
  states.flatMap(state =>
    series.select('nix_builder_state', { state }).filter(valueIs(1)),
  )

/** `X unless on (builder) (nix_builder_state{state="drained"} == 1)` */
export const excludeDrained = (
  series: SampleSet,
  samples: readonly LabeledValue[],
): LabeledValue[] => excludeBuildersIn(samples, buildersInStates(series, ['drained']))

/** Whether both samples have the same labels. */
export const hasSameLabels =
  ({ labels: wanted }: LabeledValue) =>
  ({ labels }: LabeledValue): boolean =>
    Object.keys(labels).length === Object.keys(wanted).length &&
    Object.entries(wanted).every(([label, value]) => labels[label] === value)

const builderNames = (
  samples: readonly LabeledValue[],
): ReadonlySet<string | undefined> =>
  new Set(samples.map(({ labels }) => labels['builder']))
