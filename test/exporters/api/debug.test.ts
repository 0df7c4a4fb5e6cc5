/** `/builders/NAME?debug`: what the newest attempts noted, the metrics of the builder, and what holds for it. */
import t from 'tap'
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
    collectSamples: samplesOf,
    readTraces: name => (name === 'a' ? traces : {}),
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
  'the newest attempt and the newest failure of each probe, as plain text',
  async t => {
    const login = {
      last: { ...good, lines: '+0 ms connect: <b>' },
      lastFailed: { ...bad, lines: '+1 ms connect: refused' },
    }
    const reading = { last: { ...good, lines: '+0 ms script' }, lastFailed: null }
    const failing = { ...bad, lines: '+9 ms silence' }
    const { status, headers, body } = await get({
      login,
      disk: reading,
      memory: reading,
      canary: { last: failing, lastFailed: failing },
    })
    t.equal(status, 200)
    t.match(headers.get('content-type'), 'text/plain')
    t.match(body, /^# a: healthy since 2/)
    t.match(
      body,
      `### login, the newest: ok, over at ${new Date((now - 5) * 1000).toISOString()}\n+0 ms connect: <b>\n`,
    )
    t.match(body, /### login, the newest that failed: failed \(tcp_refused\).*\n\+1 ms/)
    t.match(body, /### disk, memory, the newest: ok.*\n\+0 ms script\n/, 'told once')
    t.equal(body.match(/silence/g)?.length, 1, 'a failure that is the newest, too')
  },
)

t.test('metrics and settings', async t => {
  const { body } = await get({})
  t.match(body, 'nothing yet')
  t.match(body, '\nnix_builder_up{builder="a"} 1\n')
  t.match(body, 'nix_builder_trusted{builder="a"} 1')
  t.match(body, 'machine line   ssh-ng://nix:***@a x86_64-linux /etc/nix/key 4\n')
  t.match(body, /asked every {4}login \d+ s/)
  t.notMatch(body, 'planted')
})
