/** The cases of prometheus/tests/alerts.yml, for our own conditions. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import type { Sample } from '../../src/model/index.ts'

interface Case {
  readonly name: string
  readonly interval: string
  readonly input_series: readonly { readonly series: string; readonly values: string }[]
  readonly alert_rule_test: readonly {
    readonly eval_time: string
    readonly alertname: string
    readonly exp_alerts: readonly {
      readonly exp_labels: Readonly<Record<string, string>>
      readonly exp_annotations: Readonly<Record<string, string>>
    }[]
  }[]
}

const file = new URL('../../prometheus/tests/alerts.yml', import.meta.url)

export const readCases = async (): Promise<readonly Case[]> =>
  (parse(await readFile(file, 'utf8')) as { tests: readonly Case[] }).tests

/** `1h20m` in seconds. */
export const secondsOf = (text: string): number =>
  [...text.matchAll(/(\d+)([smhd])/g)].reduce(
    (sum, [, count, unit]) =>
      sum + Number(count) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit as 's' | 'm'],
    0,
  )

/** Parses promtool's notation of values, `0x9 1+2x5 _x3 stale`; null is no sample. */
export const valuesOf = (text: string): readonly (number | null)[] =>
  text.split(' ').flatMap(part => {
    if (part === 'stale') return [null]
    const [, blanks] = /^_(?:x(\d+))?$/.exec(part) ?? []
    if (part.startsWith('_'))
      return Array<null>(blanks === undefined ? 1 : Number(blanks)).fill(null)
    const found = /^(-?[\d.e]+)([+-][\d.e]+)?x(\d+)$/.exec(part)
    if (!found) return [Number(part)]
    const [, first = '', step = '0', more = ''] = found
    return Array.from(
      { length: Number(more) + 1 },
      (_, i) => Number(first) + i * Number(step),
    )
  })

/** Samples of a scrape at that second, without instance and job, which Prometheus adds. */
export const samplesAt = ({ interval, input_series }: Case, second: number): Sample[] =>
  input_series.flatMap(({ series, values }) => {
    const [, family = '', inside = ''] = /^(\w+)\{(.*)\}$/.exec(series) ?? []
    const labels = Object.fromEntries(
      [...inside.matchAll(/(\w+)="([^"]*)"/g)]
        .map(([, name = '', value = '']) => [name, value] as const)
        .filter(([name]) => name !== 'instance' && name !== 'job'),
    )
    const value = valuesOf(values)[Math.floor(second / secondsOf(interval))]
    return value === undefined || value === null ? [] : [{ family, labels, value }]
  })
