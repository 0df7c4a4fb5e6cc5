/** The page of one builder: probes in order, failures and unknown results. */
import t from 'tap'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import type { Kind, LoginValue, Snapshot, Trends } from '../../../src/model/index.ts'
import {
  allOk,
  builderOf,
  loginValue,
  now,
  recordOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../fixture.ts'
import { demoSnapshot } from './demo.ts'

const get = async (snapshot: Snapshot, name: string) => {
  const exporter = createPageExporter({ version: '1', now: () => now })
  const server = await serve(viewOf(snapshot), exporter)
  const answer = await server.get(`/builders/${encodeURIComponent(name)}`)
  await server.close()
  return { ...answer, text: answer.body.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ') }
}

t.test('opens the failed probe and marks its dependents as skipped', async t => {
  const { body, text, status } = await get(demoSnapshot(), 'mac-1.example.org')
  t.equal(status, 200)
  t.equal([...body.matchAll(/<details open/g)].length, 1)
  t.match(body, /<details open data-key=.login.>\s*<summary>\s*<b>login<\/b>/)
  t.match(text, 'ConnectTimeout=5 nix@mac-1.example.org true')
  t.match(text, 'REMOTE HOST IDENTIFICATION HAS CHANGED')
  t.match(
    text,
    /Fix: .* On this machine, as root: sudo ssh-keygen -R mac-1\.example\.org/,
  )
  t.match(text, 'trust – skipped: login failed')
})

t.test('marks old results as stale and missing ones as not probed', async t => {
  const old = snapshotOf([stateOf(builderOf('a'), allOk(now - 601))])
  const { text } = await get(old, 'a')
  t.match(text, 'login ? stale, was: ✔ ok')
  t.match(text, 'system ? stale, was: ✔ ok')
  t.match(text, 'direct ? not probed yet')
  t.notMatch(text, 'slots ? stale')
})

t.test('escapes remote text and returns 404 for an unknown builder', async t => {
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
    history: {
      login: [
        {
          status: 'failed',
          kind: 'kex_mismatch',
          at: now,
          durationSeconds: 1,
          trends: {},
        },
      ],
    } as const,
  }
  const { body, text } = await get(snapshotOf([state]), name)
  t.notMatch(body, '<script>')
  t.notMatch(body, '\u001b')
  t.ok(body.length < 40_000)
  t.match(text, 'Last failure')
  t.match(text, '✘ failed (kex_mismatch)')
  t.equal((await get(snapshotOf([]), 'unknown')).status, 404)
})

t.test('shows the login phases up to the failed one', async t => {
  const outcome = {
    status: 'failed' as const,
    kind: 'kex_timeout' as const,
    params: {},
    value: { ...loginValue, phases: { dns: 0.001, tcp: 0.02, banner: 0.03 } },
  }
  const shown = async (kind: Kind, phases: LoginValue['phases']) => {
    const login = recordOf('login', {
      ...outcome,
      kind,
      value: { ...loginValue, phases },
    })
    return (await get(snapshotOf([stateOf(builderOf('a'), { login })]), 'a')).text
  }
  t.match(
    await shown('kex_timeout', { dns: 0.001, tcp: 0.02, banner: 0.03 }),
    /dns 1 ms tcp 20 ms banner 30 ms kex ✘ failed here auth not reached/,
  )
  t.match(
    await shown('tcp_refused', { dns: 0.001 }),
    /dns 1 ms tcp ✘ failed here banner not reached/,
  )
  t.match(await shown('dns', {}), /dns ✘ failed here tcp not reached/)
})

t.test('shows recent attempts as bars, table and trends', async t => {
  const check = (status: 'ok' | 'failed' | 'busy', at: number, trends: Trends = {}) => ({
    status,
    kind: status === 'ok' ? null : ('tcp_refused' as const),
    at,
    durationSeconds: at - now + 100,
    trends,
  })
  const state = {
    ...stateOf(builderOf('a')),
    history: {
      login: [check('ok', now - 60), check('failed', now - 40), check('ok', now - 20)],
      trust: [check('failed', now - 59), check('busy', now - 40), check('ok', now - 19)],
      canary: [check('busy', now - 30)],
      disk: [
        check('ok', now - 50, { storeFreeBytes: 2 ** 30 }),
        check('ok', now - 20, { storeFreeBytes: 3 * 2 ** 30 }),
      ],
      memory: [
        check('ok', now - 80, { memoryStallSeconds: 100, load: 0.5 }),
        check('ok', now - 60, { memoryStallSeconds: 101, load: 1 }),
        // A reboot resets the counter
        check('ok', now - 40, { memoryStallSeconds: 2, load: 12.25 }),
        check('ok', now - 20, { memoryStallSeconds: 12, load: 4 }),
      ],
    },
  }
  const { body, text } = await get(snapshotOf([state]), 'a')
  t.match(body, 'aria-label="The last 4 attempts: 1 good, 2 failed, 1 busy or skipped"')
  t.match(text, '4 attempts, newest first')
  t.match(text, '30 s ago canary … busy (tcp_refused)')
  t.match(text, /40 s ago login ✘ failed \(tcp_refused\) 60\.0 s/)
  t.match(text, /free space 3\.0 GiB 1\.0 GiB to 3\.0 GiB/)
  t.match(text, /memory pressure 50\.0 % 5\.0 % to 50\.0 %/)
  t.match(text, /load 4\.00 0\.50 to 12\.25/)
  t.match(text, /login 80\.0 s 40\.0 s to 80\.0 s/, 'only completed logins')
})

t.test('serves badges', async t => {
  const server = await serve(viewOf(demoSnapshot()), createPageExporter({ version: '1' }))
  t.teardown(() => server.close())
  const badge = await server.get('/badge/mac-1.example.org.svg')
  t.match(badge.type, 'image/svg+xml')
  t.match(badge.body, 'aria-label="mac-1.example.org: down"')
  t.match((await server.get('/badge.svg')).body, 'Nix builders: down')
  t.equal((await server.get('/badge/unknown.svg')).status, 404)
})
