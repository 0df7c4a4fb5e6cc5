/** The status page at /: its text in each situation, and that remote text is escaped. */
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { html } from '../../../src/exporters/page/html.ts'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import type { Snapshot } from '../../../src/model/index.ts'
import {
  allOk,
  builderOf,
  diskValue,
  now,
  ok,
  recordOf,
  serve,
  snapshotOf,
  stateOf,
  viewOf,
} from '../fixture.ts'
import { demoSnapshot } from './demo.ts'

const pageOf = async (snapshot: Snapshot, path = '/', files: readonly string[] = []) => {
  const exporter = createPageExporter({
    version: '1.2.3',
    now: () => now,
    files: () => files,
  })
  const server = await serve(viewOf(snapshot), exporter)
  const { body, headers } = await server.get(path)
  await server.close()
  return {
    body,
    headers,
    text: body.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' '),
    title: /<title>(.*?)<\/title>/.exec(body)?.[1],
    h1: [...body.matchAll(/<h1[^>]*>(.*?)<\/h1>/gs)].map(([, one]) =>
      one!
        .replace(/<[^>]+>/g, '')
        .replace(/\s+/g, ' ')
        .trim(),
    ),
  }
}

t.test('lists the worst builders first, with cause and fix', async t => {
  const { body, text, title, h1, headers } = await pageOf(demoSnapshot())
  t.strictSame(h1, [
    '3 of 5 builders available. mac-1.example.org: host key changed, for 14 m.',
  ])
  t.equal(title, '✘ 1 down · builder-monitor')
  t.strictSame(
    [...body.matchAll(/<tbody\s+id="builder-([^"]+)"/g)].map(([, name]) => name),
    [
      'mac-1.example.org',
      'linux-2.example.org',
      'linux-3.example.org',
      'arm-1.example.org',
      'linux-1.example.org',
    ],
  )
  t.match(text, /✘ \S*\s*down mac-1\.example\.org .* 1\/4 failed for 14 m/)
  t.match(text, 'The host key of mac-1.example.org changed')
  t.match(text, 'sudo ssh-keygen -R mac-1.example.org')
  t.match(text, 'ConnectTimeout=5 nix@mac-1.example.org true')
  t.match(
    body,
    /<details>[\s\S]*REMOTE HOST IDENTIFICATION HAS CHANGED[\s\S]*<\/details>/,
  )
  t.match(text, /94 ms 2\.1 GiB of 233 GiB for 1 h 6 m/)
  t.match(text, /linux-3\.example\.org x86_64-linux 8 first check is running/)
  t.match(body, '<time')
  t.match(body, 'datetime="2027-01-15T06:53:20Z"')
  t.match(text, '1.2.3')
  for (const path of ['/metrics', '/api/v1/builders', '/-/healthy', '/-/ready'])
    t.match(body, `href="${path}"`)
  t.match(body, /<noscript\s*><meta http-equiv="refresh" content="30"/)
  t.notMatch(
    body,
    /https?:\/\/(?!www\.w3\.org)|<style|style=|\son\w+=/,
    'no external resources',
  )
  const policy = headers.get('content-security-policy') ?? ''
  t.match(policy, "default-src 'none'")
  t.notMatch(policy, 'unsafe')
  const paused = await pageOf(demoSnapshot(), '/?pause')
  t.notMatch(paused.body, /http-equiv="refresh"|<script/)
  t.match(paused.text, 'paused')
})

t.test('shows a healthy fleet', async t => {
  const { h1, title, body } = await pageOf(
    snapshotOf([stateOf(builderOf('a')), stateOf(builderOf('b'))]),
  )
  t.strictSame(h1, ['2 of 2 builders available.'])
  t.equal(title, '✔ all 2 healthy · builder-monitor')
  t.notMatch(body, 'class="cause"')
})

t.test('shows the first check and an empty builders list', async t => {
  const first = snapshotOf([stateOf(builderOf('a'), {}, { state: 'unknown' })])
  const starting = await pageOf({ ...first, monitor: { ...first.monitor, ready: false } })
  t.strictSame(starting.h1, ['First check of 1 builder is running.'])
  t.equal(starting.title, 'first checks · builder-monitor')
  t.match(starting.text, 'first check is running')

  const files = ['/etc/nix/nix.conf', '/etc/nix/machines']
  const empty = await pageOf(snapshotOf([]), '/', files)
  t.strictSame(empty.h1, ['No builders are configured.'])
  for (const file of files) t.match(empty.text, `${file} `)
  t.notMatch(empty.body, '<tbody')
})

t.test('hides expired measurements', async t => {
  const { text } = await pageOf(
    snapshotOf([
      stateOf(builderOf('a'), {
        ...allOk(),
        login: ok('login', now - 361),
        disk: ok('disk', now - 91),
      }),
    ]),
  )
  t.notMatch(text, /\d ms|GiB/)
})

t.test('shows problems of the builders list and of the monitor first', async t => {
  const first = snapshotOf([stateOf(builderOf('a'), allOk(), { flapping: true })])
  const { text, body } = await pageOf({
    ...first,
    source: 'demo',
    problems: [
      { file: '/etc/nix/machines', line: 3, message: 'bad <line>', isFatal: true },
    ],
    monitor: { ...first.monitor, selfCheckFailed: true, lastReloadOk: false },
  })
  t.match(text, '/etc/nix/machines:3')
  t.match(body, 'bad &lt;line&gt;')
  t.match(body, 'class="note stops"')
  t.match(text, 'Results on hold: the self-check failed')
  t.match(text, 'config check')
  t.match(text, 'flapping')
  t.match(text, 'demo fleet')
})

t.test('marks a healthy builder that no build has verified', async t => {
  const state = stateOf(builderOf('a'), { login: ok('login') }, { verified: false })
  t.match((await pageOf(snapshotOf([state]))).text, 'no build tried yet')
  const tried = stateOf(builderOf('a'), allOk(), { verified: false })
  t.match((await pageOf(snapshotOf([tried]))).text, 'not verified by a build')
})

t.test('escapes all external text', async t => {
  const hostile = `"><script>alert('x')</script><img src=x onerror=1>&amp;`
  const store = { ...diskValue.store, path: hostile }
  const cause = {
    probe: 'login' as const,
    kind: 'kex_mismatch' as const,
    params: { host: hostile, detail: hostile, ssh: hostile, dest: hostile },
    evidence: hostile,
  }
  const builder = builderOf(hostile, {
    host: hostile,
    systems: [hostile],
    supportedFeatures: [hostile],
    sshKey: hostile,
  })
  const state = stateOf(
    builder,
    {
      ...allOk(),
      disk: recordOf('disk', { status: 'ok', value: { ...diskValue, store } }),
    },
    { state: 'down', cause },
  )
  const { body } = await pageOf(
    snapshotOf([state], { problems: [{ file: hostile, line: 1, message: hostile }] }),
    `/?pause=${encodeURIComponent(hostile)}`,
    [hostile],
  )
  t.notMatch(body, /<script>|<img|onerror=1>/)
  t.match(body, '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)')
  t.match(body, '&amp;amp;', 'entities are text too')
  const empty = await pageOf(snapshotOf([]), '/', [hostile])
  t.notMatch(empty.body, /<script>|<img/)
})

t.test('filters builders by the query of the URL', async t => {
  const names = ({ body }: { body: string }) =>
    [...body.matchAll(/<tbody\s+id="builder-([^"]+)"/g)].map(([, name]) => name)
  const of = async (query: string) => pageOf(demoSnapshot(), `/?${query}`)
  t.strictSame(names(await of('state=down')), ['mac-1.example.org'])
  t.equal(names(await of('state=failing')).length, 3)
  t.strictSame(names(await of('system=aarch64-darwin')), ['mac-1.example.org'])
  t.strictSame(names(await of('name=ARM')), ['arm-1.example.org'])
  t.equal(names(await of('state=&system=&name=')).length, 5, 'empty values match all')
  t.equal(names(await of('state=broken')).length, 5, 'unknown values are ignored')
  t.equal(names(await of('system=riscv64-linux')).length, 5)
  const none = await of('name=nothing')
  t.strictSame(names(none), [])
  t.match(none.text, 'No matches among 5 builders.')
  t.match(none.h1[0], '3 of 5', 'the headline counts all builders')
  t.match((await of('state=down')).body, '<option value="down" selected>')
  t.match((await of('name=%22%3E%3Cscript%3E')).body, 'value="&quot;&gt;&lt;script&gt;"')
})

t.test('shows capabilities without a verified builder as zero', async t => {
  const { text } = await pageOf(demoSnapshot())
  t.match(text, 'Capabilities')
  t.match(text, /aarch64-darwin (✘ 0 of 1 ?){2}/)
  t.match(text, /x86_64-linux 2 of 3/)
})

t.test('marks a row without a login for two intervals as stale', async t => {
  const state = stateOf(builderOf('a'), { ...allOk(), login: ok('login', now - 241) })
  const { text, body } = await pageOf(snapshotOf([state]))
  t.match(text, 'stale was healthy')
  t.match(body, 'class="state unknown"')
  const fresh = stateOf(builderOf('a'), { ...allOk(), login: ok('login', now - 239) })
  t.notMatch((await pageOf(snapshotOf([fresh]))).text, 'stale')
})

t.test('counts slots in use', async t => {
  t.match((await pageOf(snapshotOf([stateOf(builderOf('a'))]))).text, ' 1/8 ')
})

t.test('shows the checks of this machine and configuration findings', async t => {
  const first = snapshotOf([stateOf(builderOf('a', { user: 'root', maxJobs: 0 }))])
  const skipped = { status: 'skipped', kind: 'no_data', params: {} } as const
  const { text } = await pageOf({
    ...first,
    nix: { version: '2.26.3', system: 'x86_64-linux' },
    client: {
      at: now,
      checks: {
        config: { status: 'ok' },
        settings: { status: 'ok' },
        capacity: { status: 'ok' },
        hook: { status: 'ok' },
        substituters: { status: 'ok' },
        daemon: {
          status: 'failed',
          kind: 'daemon_down',
          params: { detail: 'no socket' },
        },
        trust: skipped,
        ssh: { status: 'ok' },
        identity: skipped,
        keys: { status: 'ok' },
        disk: { status: 'ok' },
        memory: { status: 'ok' },
        network: { status: 'ok' },
      },
    },
  })
  t.match(text, 'This machine ✘ daemon :')
  t.match(
    text,
    '✔ config, settings, capacity, hook, substituters, ssh, keys, disk, memory, network, canary.',
  )
  t.match(text, 'skipped: trust, identity.')
  t.match(text, 'Findings a ')
})

t.test('lists built-in alerts when alerting is on', async t => {
  const alert = {
    name: 'NixBuilderDown',
    labels: { alertname: 'NixBuilderDown', severity: 'warning', builder: 'a' },
    annotations: {
      description: 'The builder <a> is down.',
      runbook_url: 'https://example.org/NixBuilderDown.md',
    },
    state: 'firing' as const,
    value: 1,
    activeAt: now - 700,
    startsAt: now - 400,
    endsAt: null,
    fingerprint: '0123456789abcdef',
    generatorUrl: 'http://localhost/',
  }
  const shown = async (list: NonNullable<Snapshot['alerts']>['list']) =>
    pageOf(snapshotOf([stateOf(builderOf('a'))], { alerts: { externalUrl: '', list } }))
  const firing = await shown([
    alert,
    {
      ...alert,
      labels: { ...alert.labels, builder: 'b' },
      state: 'pending',
      startsAt: null,
    },
    {
      ...alert,
      labels: { ...alert.labels, builder: 'c' },
      state: 'resolved',
      endsAt: now,
    },
  ])
  t.match(
    firing.text,
    /NixBuilderDown \(a\) , warning, for 6 m : The builder &lt;a&gt; is down/,
  )
  t.match(firing.text, 'Pending: NixBuilderDown (b).')
  t.notMatch(firing.text, '(c)')
  t.match(firing.body, 'href="https://example.org/NixBuilderDown.md"')
  t.match((await shown([])).text, 'Alerts No alerts.')
  t.notMatch((await pageOf(snapshotOf([]))).text, 'Alerts')
})

t.test('keeps the chosen theme in a cookie', async t => {
  const exporter = createPageExporter({ version: '1', now: () => now })
  const server = await serve(viewOf(demoSnapshot()), exporter)
  t.teardown(() => server.close())
  const chosen = await server.get('/?theme=dark')
  t.match(chosen.body, 'data-theme="dark"')
  t.match(chosen.headers.get('set-cookie'), /^theme=dark; .*SameSite=Strict/)
  const later = await server.get('/', { cookie: 'a=b; theme=dark' })
  t.match(later.body, 'data-theme="dark"')
  t.equal(later.headers.get('set-cookie'), null)
  t.match((await server.get('/?theme=%22x')).body, 'data-theme="auto"')
})

t.test('transfers less than 30 KB for twenty builders, assets included', async t => {
  const builders = Array.from({ length: 20 }, (_, i) => {
    const history = Array.from({ length: 60 }, (_, n) => ({
      status: (n * 7 + i) % 11 === 0 ? ('failed' as const) : ('ok' as const),
      kind: null,
      at: now - 120 * (60 - n),
      durationSeconds: 0.1,
      trends: {},
    }))
    const { outcome } = recordOf('login', {
      status: 'failed',
      kind: 'tcp_refused',
      params: { dest: `b${i}`, port: '22' },
    }).last
    if (outcome.status !== 'failed') throw new Error('it failed')
    return {
      ...stateOf(builderOf(`builder-${i * 7919}.example.org`), allOk(), {
        state: i % 3 === 0 ? 'down' : 'healthy',
        cause: i % 3 === 0 ? { probe: 'login', ...outcome } : null,
      }),
      history: { login: history },
    }
  })
  const exporter = createPageExporter({ version: '1', now: () => now })
  const server = await serve(viewOf(snapshotOf(builders)), exporter)
  t.teardown(() => server.close())
  const page = await server.get('/')
  const assets = [...page.body.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)]
  t.equal(assets.length, 2)
  let bytes = gzipSync(page.body).length
  for (const [, path] of assets) {
    const asset = await server.get(path!)
    t.match(asset.headers.get('cache-control'), 'immutable')
    t.match(asset.type, /css|javascript/)
    bytes += gzipSync(asset.body).length
  }
  t.ok(bytes < 30_000, `${bytes} bytes`)
})

t.test('the html template escapes everything except Html', async t => {
  const inner = html`<b>${'<i>'}</b>`
  const whole = html`${inner}|${[inner, 'a&b']}|${null}${false}|${0}|${"'"}`
  t.equal(whole.markup, '<b>&lt;i&gt;</b>|<b>&lt;i&gt;</b>a&amp;b||0|&#39;')
})
