import t from 'tap'
import { reloadRoute } from '../../../src/exporters/api/admin.ts'
import type { HttpRequest, HttpResponse } from '../../../src/exporters/http/route.ts'

const requestOf = (change: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'POST',
  path: '/-/reload',
  query: new URLSearchParams(),
  headers: {},
  isLocal: true,
  isAuthenticated: false,
  isControl: false,
  ...change,
})

t.test('reloads at most once per interval over TCP', async t => {
  let reloads = 0
  const route = reloadRoute(async () => {
    reloads++
    return []
  }, 400)
  // The daemon's servers do this
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => clearInterval(alive))
  const post = async (change?: Partial<HttpRequest>) =>
    (await route.handle(requestOf(change))) as HttpResponse & { status: number }
  const started = performance.now()
  t.equal((await post()).status, 200, 'the first at once')
  t.equal(reloads, 1)
  const answers = Promise.all(Array.from({ length: 3000 }, () => post()))
  t.equal((await post({ isControl: true })).status, 200)
  t.equal(reloads, 2, 'the control socket does not wait')
  t.ok((await answers).every(({ status }) => status === 200))
  t.equal(reloads, 3, 'the others share one')
  t.ok(performance.now() - started > 390, 'which waited')
})

t.test('rejects other machines without a password', async t => {
  const route = reloadRoute(async () => t.fail('must not reload') as never)
  t.match(await route.handle(requestOf({ isLocal: false })), { status: 403 })
})
