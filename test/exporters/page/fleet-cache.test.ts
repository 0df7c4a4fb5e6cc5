import t from 'tap'
import { createFleetCache } from '../../../src/exporters/page/fleet-cache.ts'
import { fleetView } from '../../../src/exporters/page/fleet.ts'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import type { Snapshot } from '../../../src/model/index.ts'
import { allOk, builderOf, now, serve, snapshotOf, stateOf, viewOf } from '../fixture.ts'
import { get as httpGet } from 'node:http'

const names = Array.from({ length: 20 }, (_, i) => `b${i}`)
const fleet = () => snapshotOf(names.map(name => stateOf(builderOf(name), allOk())))

const withDown = (snapshot: Snapshot, name: string): Snapshot => ({
  ...snapshot,
  version: snapshot.version + 1,
  builders: new Map(snapshot.builders).set(
    name,
    stateOf(builderOf(name), allOk(), {
      state: 'down',
      cause: { probe: 'login', kind: 'tcp_refused', params: { host: name, port: '22' } },
    }),
  ),
})

const all = new URLSearchParams()

t.test('renders only the row of a builder that has changed', async t => {
  const cache = createFleetCache()
  const before = fleet()
  const rowsAt = (snapshot: Snapshot, at: number, query = all) =>
    new Map(
      fleetView(snapshot, query, { now: at, files: [] }, cache)
        .regions.filter(({ id }) => id.startsWith('builder-'))
        .map(({ id, html }) => [id, html]),
    )
  const first = rowsAt(before, now)
  t.equal(first.size, 20)
  const second = rowsAt(withDown(before, 'b3'), now + 0.5)
  t.same(
    [...first].filter(([id, html]) => second.get(id) !== html).map(([id]) => id),
    ['builder-b3'],
  )
  const filtered = rowsAt(before, now, new URLSearchParams('name=b1'))
  t.ok([...filtered].every(([id, html]) => html === first.get(id)))
})

t.test('equals a page that was rendered from nothing, also as time passes', async t => {
  const cache = createFleetCache()
  let snapshot = fleet()
  for (const [i, seconds] of [0, 0.5, 1, 59, 61, 241, 600, 3700, 90_000].entries()) {
    if (i % 2 === 1) snapshot = withDown(snapshot, `b${i}`)
    for (const query of ['', 'state=failing', 'name=b1', 'name=none']) {
      const options = { now: now + seconds, files: [] }
      const cached = fleetView(snapshot, new URLSearchParams(query), options, cache)
      const fresh = fleetView(snapshot, new URLSearchParams(query), options)
      t.equal(cached.body.markup, fresh.body.markup, `${query} after ${seconds} s`)
      t.same(cached.order, fresh.order)
    }
  }
})

t.test('limits the number of different pages that are followed', async t => {
  const server = await serve(
    viewOf(fleet()),
    createPageExporter({ version: '0', now: () => now }),
  )
  t.teardown(() => server.close())
  const follow = (page: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const request = httpGet(
        `${server.url}/live?page=${encodeURIComponent(page)}`,
        response => {
          response.resume()
          resolve(response.statusCode)
        },
      )
      request.on('error', reject)
      t.teardown(() =>
        request
          .off('error', reject)
          .on('error', () => undefined)
          .destroy(),
      )
    })
  for (let i = 0; i < 32; i++) t.equal(await follow(`/?name=${i}`), 200)
  t.equal(await follow('/?name=other'), 503)
  t.equal(await follow('/?name=7'), 200, 'another reader of a followed page')
})
