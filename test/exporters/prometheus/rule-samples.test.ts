import t from 'tap'
import { familiesUsedByRules } from '../../../src/alerts/rules.ts'
import { families } from '../../../src/exporters/prometheus/families.ts'
import { createPrometheusExporter } from '../../../src/exporters/prometheus/prometheus.ts'
import { createRuleSampleCollector } from '../../../src/exporters/prometheus/rule-samples.ts'
import {
  allOk,
  builderOf,
  diskValue,
  now,
  recordOf,
  samplesOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../fixture.ts'

t.test('rules get the samples that /metrics prints', async t => {
  const read = createRuleSampleCollector(samplesOf, familiesUsedByRules)
  const first = stateOf(builderOf('b1'), allOk(), {
    state: 'down',
    cause: { probe: 'login', kind: 'host_key_changed', params: {} },
  })
  const disk = recordOf('disk', {
    status: 'ok',
    value: { ...diskValue, belowMinFreeSince: now - 5 },
  })
  const moments = [
    { at: now, builders: [first, stateOf(builderOf('b2'))] },
    { at: now + 200, builders: [first] },
    { at: now + 1, builders: [{ ...first, probes: { ...first.probes, disk } }] },
  ]
  for (const { at, builders } of moments) {
    const snapshot = snapshotOf(builders)
    const exporter = createPrometheusExporter({
      version: '1',
      collectSamples: samplesOf,
      now: () => at,
    })
    const server = await serve(viewOf(snapshot), exporter)
    const text = (await server.get('/metrics')).body
    await server.close()
    const printed = text
      .split('\n')
      .filter(line => familiesUsedByRules.has(/^\w+/.exec(line)?.[0] ?? ''))
    const samples = read(snapshot, at).map(
      ({ family, labels, value }) =>
        `${family}${
          Object.keys(labels).length
            ? `{${Object.entries(labels)
                .map(([name, text]) => `${name}="${text}"`)
                .join()}}`
            : ''
        } ${value}`,
    )
    t.ok(samples.length > 10)
    t.same([...samples].sort(), [...printed].sort())
  }
})

t.test('rules use only exported families', async t => {
  const names = families.map(({ name }): string => name)
  for (const family of familiesUsedByRules) t.ok(names.includes(family), family)
})
