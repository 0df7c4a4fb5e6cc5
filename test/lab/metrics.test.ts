/** promtool accepts the output of /metrics. */
import { spawnSync } from 'node:child_process'
import t from 'tap'
import { createPrometheusExporter } from '../../src/exporters/prometheus/prometheus.ts'
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
} from '../exporters/fixture.ts'

const check = (input: string) => {
  const { status, stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], {
    input,
    encoding: 'utf8',
  })
  if (error) throw new Error('promtool cannot be run', { cause: error })
  return [status, stdout, stderr]
}

const skip = process.env['LAB'] !== '1' && 'needs the lab: npm run test:lab'

void t.test('promtool reports no problem', { skip }, async t => {
  const below = { ...diskValue, belowMinFreeSince: now - 60 }
  const complete = stateOf(
    builderOf('a"b\\c\nd'),
    { ...allOk(), disk: recordOf('disk', { status: 'ok', value: below }) },
    { state: 'degraded', cause: { probe: 'disk', kind: 'below_min_free', params: {} } },
  )
  const empty = stateOf(builderOf('new'), {}, { state: 'unknown' })
  for (const builders of [[], [empty], [complete, empty]]) {
    const view = viewOf(snapshotOf(builders))
    const exporter = createPrometheusExporter({
      version: '1',
      collectSamples: samplesOf,
      now: () => now,
    })
    const stop = exporter.start?.(view)
    exporter.observeScheduleDelay('login', 0.3)
    const server = await serve(view, exporter)
    const { body } = await server.get('/metrics')
    t.strictSame(check(body), [0, '', ''], `${builders.length} builders`)
    stop?.()
    await server.close()
  }
  const [status] = check('# TYPE bad_total gauge\nbad_total 1\n')
  t.not(status, 0, 'promtool reports an invalid metric')
})
