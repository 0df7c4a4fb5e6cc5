/** The page at /: what it says in each situation, and that nobody can say anything through it. */
import t from 'tap'
import { html } from '../../src/exporters/html.ts'
import { createPageExporter } from '../../src/exporters/page.ts'
import type { Snapshot } from '../../src/model.ts'
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
} from './fixture.ts'
import { demoSnapshot } from './page-demo.ts'

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
    text: body
      .replace(/<style>[\s\S]*?<\/style>/, '')
      .replace(/<[^>]+>/g, ' ')
      .replace(/\s+/g, ' '),
    title: /<title>(.*?)<\/title>/.exec(body)?.[1],
    h1: [...body.matchAll(/<h1>\s*(.*?)\s*<\/h1>/gs)].map(([, one]) => one),
  }
}

t.test('a fleet with trouble: the worst first, and what to do', async t => {
  const { body, text, title, h1, headers } = await pageOf(demoSnapshot())
  t.strictSame(h1, [
    '3 of 5 builders can take work. mac-1.example.org: host key changed, for 14 m.',
  ])
  t.equal(title, '✘ 1 down · builder-monitor')
  t.strictSame(
    [...body.matchAll(/<tbody id="builder-([^"]+)"/g)].map(([, name]) => name),
    [
      'mac-1.example.org',
      'linux-2.example.org',
      'linux-3.example.org',
      'arm-1.example.org',
      'linux-1.example.org',
    ],
  )
  t.match(text, /✘ \S*\s*down mac-1\.example\.org .* 4 failed for 14 m/)
  t.match(text, 'The host key of mac-1.example.org is not the one we know')
  t.match(text, 'sudo ssh-keygen -R mac-1.example.org')
  t.match(text, 'ConnectTimeout=5 nix@mac-1.example.org true')
  t.match(
    body,
    /<details>[\s\S]*REMOTE HOST IDENTIFICATION HAS CHANGED[\s\S]*<\/details>/,
  )
  t.match(text, /94 ms 2\.1 GiB of 233 GiB for 1 h 6 m/)
  t.match(text, /linux-3\.example\.org x86_64-linux 8 first check under way/)
  t.match(body, '<time')
  t.match(body, 'datetime="2027-01-15T06:53:20Z"')
  t.match(text, '1.2.3')
  for (const path of ['/metrics', '/api/v1/builders', '/-/healthy', '/-/ready'])
    t.match(body, `href="${path}"`)
  t.match(body, '<meta http-equiv="refresh" content="10"')
  t.notMatch(body, /<script|https?:\/\/(?!www\.w3\.org)|@import|url\(/, 'asks nobody')
  t.match(headers.get('content-security-policy'), "default-src 'none'")
  t.notMatch((await pageOf(demoSnapshot(), '/?pause')).body, 'http-equiv="refresh"')
})

t.test('all is well', async t => {
  const { h1, title, body } = await pageOf(
    snapshotOf([stateOf(builderOf('a')), stateOf(builderOf('b'))]),
  )
  t.strictSame(h1, ['2 of 2 builders can take work.'])
  t.equal(title, '✔ all 2 healthy · builder-monitor')
  t.notMatch(body, 'class="cause"')
})

t.test('the first moments, and no builders', async t => {
  const first = snapshotOf([stateOf(builderOf('a'), {}, { state: 'unknown' })])
  const starting = await pageOf({ ...first, monitor: { ...first.monitor, ready: false } })
  t.strictSame(starting.h1, ['Looking at 1 builder for the first time.'])
  t.equal(starting.title, 'first checks · builder-monitor')
  t.match(starting.text, 'first check under way')

  const files = ['/etc/nix/nix.conf', '/etc/nix/machines']
  const nobody = await pageOf(snapshotOf([]), '/', files)
  t.strictSame(nobody.h1, ['No builders are configured.'])
  for (const file of files) t.match(nobody.text, `${file} `)
  t.notMatch(nobody.body, '<table')
})

t.test('what is old is not shown as if it were new', async t => {
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

t.test('problems of the list and doubts of the monitor stand above', async t => {
  const first = snapshotOf([stateOf(builderOf('a'), allOk(), { flapping: true })])
  const { text, body } = await pageOf({
    ...first,
    source: 'demo',
    problems: [
      { file: '/etc/nix/machines', line: 3, message: 'bad <line>', stopsBuilds: true },
    ],
    monitor: { ...first.monitor, suspect: true, lastReloadOk: false },
  })
  t.match(text, '/etc/nix/machines:3')
  t.match(body, 'bad &lt;line&gt;')
  t.match(body, 'class="note stops"')
  t.match(text, 'distrusts itself')
  t.match(text, 'config check')
  t.match(text, 'flapping')
  t.match(text, 'demo fleet')
})

t.test('a builder that is healthy and not proven is said so', async t => {
  const state = stateOf(builderOf('a'), { login: ok('login') }, { proven: false })
  t.match((await pageOf(snapshotOf([state]))).text, 'no build tried yet')
  const tried = stateOf(builderOf('a'), allOk(), { proven: false })
  t.match((await pageOf(snapshotOf([tried]))).text, 'not proven by a build')
})

t.test('text from outside is text', async t => {
  const nasty = `"><script>alert('x')</script><img src=x onerror=1>&amp;`
  const store = { ...diskValue.store, path: nasty }
  const cause = {
    probe: 'login' as const,
    kind: 'kex_mismatch' as const,
    params: { host: nasty, detail: nasty, ssh: nasty, dest: nasty },
    evidence: nasty,
  }
  const builder = builderOf(nasty, {
    host: nasty,
    systems: [nasty],
    supportedFeatures: [nasty],
    sshKey: nasty,
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
    snapshotOf([state], { problems: [{ file: nasty, line: 1, message: nasty }] }),
    `/?pause=${encodeURIComponent(nasty)}`,
    [nasty],
  )
  t.notMatch(body, /<script|<img|onerror=1>/)
  t.match(body, '&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)')
  t.match(body, '&amp;amp;', 'entities are text too')
  const empty = await pageOf(snapshotOf([]), '/', [nasty])
  t.notMatch(empty.body, /<script|<img/)
})

t.test('the template escapes everything but markup of its own', async t => {
  const inner = html`<b>${'<i>'}</b>`
  const whole = html`${inner}|${[inner, 'a&b']}|${null}${false}|${0}|${"'"}`
  t.equal(whole.markup, '<b>&lt;i&gt;</b>|<b>&lt;i&gt;</b>a&amp;b||0|&#39;')
})
