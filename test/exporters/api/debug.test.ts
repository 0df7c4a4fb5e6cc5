/** `/builders/NAME?debug`: probe log, metrics and effective settings of a builder. */
import t from 'tap'
import { debugResponse } from '../../../src/exporters/api/debug.ts'
import { createRenderMetrics } from '../../../src/exporters/prometheus/builder-lines.ts'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import type { BuilderTraces } from '../../../src/model/index.ts'
import {
  allOk,
  builderOf,
  now,
  samplesOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../fixture.ts'

const get = async (traces: BuilderTraces) => {
  const line = 'ssh-ng://nix:planted@a x86_64-linux /etc/nix/key 4'
  const state = stateOf(builderOf('a', { line }), allOk())
  const exporter = createPageExporter({
    version: '1',
    now: () => now,
    debug: (request, snapshot) =>
      debugResponse(request, snapshot, {
        now: () => now,
        renderMetrics: createRenderMetrics(samplesOf),
        readTraces: name => (name === 'a' ? traces : {}),
      }),
  })
  const server = await serve(viewOf(snapshotOf([state])), exporter)
  const answer = await server.get('/builders/a?debug')
  const other = await server.get('/builders/b?debug')
  await server.close()
  t.equal(other.status, 404)
  return answer
}

const good = { at: now - 5, status: 'ok', kind: null } as const
const bad = { at: now - 60, status: 'failed', kind: 'tcp_refused' } as const

t.test(
  'prints the newest and the newest failed attempt of each probe as plain text',
  async t => {
    const login = {
      last: { ...good, lines: '+0 ms connect: <b>' },
      lastFailed: { ...bad, lines: '+1 ms connect: refused' },
    }
    const telemetry = { last: { ...good, lines: '+0 ms script' }, lastFailed: null }
    const failing = { ...bad, lines: '+9 ms silence' }
    const { status, headers, body } = await get({
      login,
      disk: telemetry,
      memory: telemetry,
      canary: { last: failing, lastFailed: failing },
    })
    t.equal(status, 200)
    t.match(headers.get('content-type'), 'text/plain')
    t.match(body, /^# a: healthy since 2/)
    t.match(
      body,
      `### login, newest attempt: ok, ended at ${new Date((now - 5) * 1000).toISOString()}\n+0 ms connect: <b>\n`,
    )
    t.match(body, /### login, newest failed attempt: failed \(tcp_refused\).*\n\+1 ms/)
    t.match(
      body,
      /### disk, memory, newest attempt: ok.*\n\+0 ms script\n/,
      'printed once',
    )
    t.equal(
      body.match(/silence/g)?.length,
      1,
      'a newest attempt that failed is printed once',
    )
  },
)

t.test('prints metrics and settings', async t => {
  const { body } = await get({})
  t.match(body, 'no attempts yet')
  t.match(body, '\nnix_builder_up{builder="a"} 1\n')
  t.match(body, 'nix_builder_trusted{builder="a"} 1')
  t.match(body, 'machine line   ssh-ng://nix:***@a x86_64-linux /etc/nix/key 4\n')
  t.match(body, /interval {7}login \d+ s/)
  t.notMatch(body, 'planted')
})
