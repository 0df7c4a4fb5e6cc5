/** The page of one builder: its probes in order, what failed, and what is not known. */
import t from 'tap'
import { createPageExporter } from '../../src/exporters/page.ts'
import type { Snapshot } from '../../src/model.ts'
import {
  allOk,
  builderOf,
  now,
  recordOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from './fixture.ts'
import { demoSnapshot } from './page-demo.ts'

const get = async (snapshot: Snapshot, name: string) => {
  const exporter = createPageExporter({ version: '1', now: () => now })
  const server = await serve(viewOf(snapshot), exporter)
  const answer = await server.get(`/builders/${encodeURIComponent(name)}`)
  await server.close()
  return { ...answer, text: answer.body.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ') }
}

t.test('the failing step is open, and what needs it waits', async t => {
  const { body, text, status } = await get(demoSnapshot(), 'mac-1.example.org')
  t.equal(status, 200)
  t.equal([...body.matchAll(/<details open/g)].length, 1)
  t.match(body, /<details open>\s*<summary>\s*<b>login<\/b>/)
  t.match(text, 'ConnectTimeout=5 nix@mac-1.example.org true')
  t.match(text, 'REMOTE HOST IDENTIFICATION HAS CHANGED')
  t.match(text, 'trust – not tried, waits for login')
})

t.test('what is old is stale, what was never tried is said so', async t => {
  const old = snapshotOf([stateOf(builderOf('a'), allOk(now - 601))])
  const { text } = await get(old, 'a')
  t.match(text, 'login ? stale, was: ✔ ok')
  t.match(text, 'system ? stale, was: ✔ ok')
  t.match(text, 'direct ? not tried yet')
  t.notMatch(text, 'slots ? stale')
})

t.test('nobody speaks through it, and a stranger is not found', async t => {
  const name = `"><script>alert(1)</script>`
  const outcome = {
    status: 'failed' as const,
    kind: 'kex_mismatch' as const,
    params: { detail: name },
    evidence: `\u001b[31m${name}${'x'.repeat(9000)}`,
  }
  const record = recordOf('login', outcome)
  const state = {
    ...stateOf(builderOf(name), { login: record }, { state: 'down' }),
    failures: [record.last],
    history: [record.last],
  }
  const { body, text } = await get(snapshotOf([state]), name)
  t.notMatch(body, '<script')
  t.notMatch(body, '\u001b')
  t.ok(body.length < 40_000)
  t.match(text, 'The last failure')
  t.match(text, '✘ failed (kex_mismatch)')
  t.equal((await get(snapshotOf([]), 'nobody')).status, 404)
})
