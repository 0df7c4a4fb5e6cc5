import type { Builder, Probe, ThroughputValue } from '../model/index.ts'
import { formatRate, formatRoundTrip } from '../text/rate.ts'
import { measure, type Measurement } from './throughput/measure.ts'

/** Share of the usual rate below which a link is slow. */
const slowShare = 0.1
/** Weight of a new measurement in the usual rate: about a day of hourly ones. */
const usualWeight = 1 / 24

export interface ThroughputDeps {
  /** Returns the lowest rate of a builder that is not slow, bytes per second. */
  readonly minBytesPerSecond: (builder: Builder) => number
}

/**
 * Measures the round trip and the rate of both directions over our own connection, with 16 KiB to 1 MiB of random
 * bytes that the remote discards or creates: nothing is stored there, and a slow line gets few of them. A slow result is measured again, because a busy moment of either
 * side is not the link.
 */
export const createThroughputProbe = ({
  minBytesPerSecond,
}: ThroughputDeps): Probe<'throughput'> => ({
  name: 'throughput',
  summary: 'the round trip and the rates of the link, both ways',
  timeoutMs: 120_000,
  run: async context => {
    const limit = minBytesPerSecond(context.builder)
    const usual = context.last('throughput')?.usual ?? noRates
    const isSlow = (rates: Rates) =>
      directions.some(one =>
        isBelow(rates[one], Math.max(limit, (usual[one] ?? 0) * slowShare)),
      )
    const first = await measure(context)
    if ('status' in first) return first
    // A line on which an upload takes this long needs no second one
    const repeats = isSlow(first) && first.download !== null && !context.signal.aborted
    const second = repeats ? await measure(context) : first
    const best = 'status' in second ? first : fastest(first, second)
    const slow = isSlow(best)
    const value: ThroughputValue = {
      ...best,
      limit,
      usual: slow
        ? usual
        : {
            upload: average(usual.upload, best.upload),
            download: average(usual.download, best.download),
          },
    }
    return slow
      ? {
          status: 'degraded',
          kind: 'slow_link',
          params: { detail: describe(value, usual) },
          value,
        }
      : { status: 'ok', value }
  },
  samples: ({ roundTripSeconds, upload, download }, { name: builder }) => [
    {
      family: 'nix_builder_round_trip_seconds',
      labels: { builder },
      value: roundTripSeconds,
    },
    ...Object.entries({ upload, download }).flatMap(([direction, value]) =>
      value === null
        ? []
        : [
            {
              family: 'nix_builder_throughput_bytes_per_second',
              labels: { builder, direction },
              value,
            },
          ],
    ),
  ],
  trends: ({ upload, download }) => ({
    uploadBytesPerSecond: upload,
    downloadBytesPerSecond: download,
  }),
})

/** Bytes per second; null if not measured. */
type Rates = Pick<ThroughputValue, 'upload' | 'download'>

const directions = ['upload', 'download'] as const
const noRates: Rates = { upload: null, download: null }

const isBelow = (rate: number | null, limit: number): boolean =>
  rate !== null && rate < limit

const fastest = (a: Measurement, b: Measurement): Measurement => ({
  roundTripSeconds: Math.min(a.roundTripSeconds, b.roundTripSeconds),
  upload: larger(a.upload, b.upload),
  download: larger(a.download, b.download),
})

const larger = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b)

const average = (usual: number | null, rate: number | null): number | null =>
  usual === null || rate === null ? (rate ?? usual) : usual + (rate - usual) * usualWeight

const describe = (
  { roundTripSeconds, limit, ...rates }: ThroughputValue,
  usual: Rates,
): string =>
  [
    ...directions.map(one => `${one} ${formatRate(rates[one])}`),
    `round trip ${formatRoundTrip(roundTripSeconds)}`,
    ...directions.flatMap(one =>
      isBelow(rates[one], (usual[one] ?? 0) * slowShare)
        ? [`usual ${one} ${formatRate(usual[one])}`]
        : [],
    ),
    ...(directions.some(one => isBelow(rates[one], limit))
      ? [`limit ${formatRate(limit)}`]
      : []),
  ].join(', ')
