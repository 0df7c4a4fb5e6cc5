/** Drained and quarantined builders on the page, in live updates, the API and the event stream. */
import t from 'tap'
import { createEventsExporter } from '../../../src/exporters/api/events.ts'
import { createFleetCache } from '../../../src/exporters/page/fleet-cache.ts'
import { fleetView } from '../../../src/exporters/page/fleet.ts'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import type { QuarantineState } from '../../../src/model/index.ts'
import { builderOf, now, serve, snapshotOf, stateOf, viewOf } from '../fixture.ts'

const on: QuarantineState = {
  mode: 'on',
  released: null,
  unavailable: null,
  countByKind: { tcp_timeout: 1 },
}
const drained = {
  ...stateOf(builderOf('b1'), {}, { state: 'drained' }),
  drain: { by: '<b>root', reason: 'disk & fan', since: now - 60, until: now + 60 },
  hold: { held: 8, running: 0, total: 8 },
}
const quarantined = {
  ...stateOf(builderOf('b2')),
  quarantine: {
    phase: 'quarantined',
    since: now - 300,
    kind: 'tcp_timeout',
    notBefore: now - 300,
    count: 1,
    retainedBy: null,
  } as const,
  hold: { held: 6, running: 2, total: 8 },
}
const fleet = (quarantine: QuarantineState = on) =>
  snapshotOf([drained, quarantined, stateOf(builderOf('b3'))], { quarantine })
const textOf = (markup: string) => markup.replace(/<[^>]+>/g, '').replace(/\s+/g, ' ')

t.test('the fleet and the page of a builder say why builds are kept away', async t => {
  const server = await serve(
    viewOf(fleet()),
    createPageExporter({ version: '1', now: () => now }),
  )
  t.teardown(() => server.close())
  const all = (await server.get('/')).body
  t.notMatch(all, '<b>root')
  const text = textOf(all)
  t.match(text, '1 of 3 builders available, 1 drained, 1 quarantined')
  t.match(
    text,
    'root for 1 m, until 2027-01-15T08:01:00Z: disk &amp; fan; its slots are held by builder-monitor, no build of this machine runs there.',
  )
  t.match(
    text,
    'Quarantined (tcp_timeout) for 5 m: builds are kept away until it is verified; 2 builds of this machine still run there.',
  )
  t.notMatch(text, 'first check is running', 'a drained builder has no first check')
  t.match(textOf((await server.get('/builders/b2')).body), 'Quarantined (tcp_timeout)')
  t.notMatch(textOf((await server.get('/builders/b3')).body), 'uarantin')
})

t.test('rows follow what holds for all builders', async t => {
  const cache = createFleetCache()
  const row = (quarantine: QuarantineState) => {
    const snapshot = { ...fleet(), quarantine }
    const options = { now, files: [] }
    const view = fleetView(snapshot, new URLSearchParams(), options, cache)
    const part = (id: string) =>
      textOf(view.regions.find(one => one.id === id)?.html.markup ?? '')
    return { b2: part('builder-b2'), notices: part('notices') }
  }
  // The same immutable builders, so that rows come from the cache
  const states = fleet().builders
  t.ok(states)
  t.match(row(on).b2, 'builds are kept away')
  const without = row({ ...on, released: 'holder', unavailable: 'nothing listens' })
  t.match(without.b2, 'builds are not kept away.')
  t.match(without.notices, 'Builds are not kept away: nothing listens.')
  t.match(row({ ...on, released: 'panic' }).notices, 'Builders that fail stay in service')
  t.equal(row(on).notices.trim(), '')
})

t.test('the event stream has drain, quarantine and hold', async t => {
  const server = await serve(viewOf(fleet()), createEventsExporter())
  t.teardown(() => server.close())
  const stop = new AbortController()
  const response = await fetch(`${server.url}/api/v1/events`, { signal: stop.signal })
  let text = ''
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    if (text.includes('"name":"b3"')) break
  }
  stop.abort()
  const data = [...text.matchAll(/^data: (.*)$/gm)].map(
    ([, json = '']) => JSON.parse(json) as Record<string, unknown>,
  )
  t.match(data[0], { quarantine: on })
  t.match(data[1], { name: 'b1', drain: drained.drain, hold: drained.hold })
  t.match(data[2], { name: 'b2', quarantine: quarantined.quarantine, drain: null })
})
