import t from 'tap'
import { alertRunbook } from '../../../src/alerts/runbook.ts'
import { alertRules } from '../../../src/alerts/rules.ts'
import { kindNames } from '../../../src/model/index.ts'
import { createPageExporter } from '../../../src/exporters/page/index.ts'
import { serve, viewOf } from '../fixture.ts'
import { demoSnapshot } from './demo.ts'

const alertRunbooks = new Map(alertRules.map(rule => [rule.name, alertRunbook(rule)]))

t.test('serves a runbook for each kind and alert, without broken links', async t => {
  const exporter = createPageExporter({ version: '1', alertRunbooks })
  const server = await serve(viewOf(demoSnapshot()), exporter)
  t.teardown(() => server.close())
  const linked = new Set<string>()
  const paths = ['', ...kindNames, ...alertRunbooks.keys()].map(
    name => `/runbooks/${name}`,
  )
  for (const path of paths) {
    const { status, body } = await server.get(path)
    t.equal(status, 200, path)
    const main = /<main>([^]*)<\/main>/.exec(body)?.[1] ?? ''
    t.match(main, /<h1>/, path)
    t.notMatch(
      main.replace(/<pre[^]*?<\/pre>/g, ''),
      /[`*]{2}|^\s*#|\]\(|undefined/m,
      path,
    )
    for (const [, link] of body.matchAll(/href="(\/runbooks\/[^"?]*)/g)) linked.add(link!)
  }
  t.same(
    [...linked].filter(link => !paths.includes(link)),
    [],
  )
  t.same(
    paths.filter(path => !linked.has(path)),
    [],
    'the index links every runbook',
  )
  t.equal((await server.get('/runbooks/nothing')).status, 404)
  t.equal((await server.get('/runbooks/../package.json')).status, 404)
})

t.test('links a cause to its runbook', async t => {
  const server = await serve(viewOf(demoSnapshot()), createPageExporter({ version: '1' }))
  t.teardown(() => server.close())
  const { body } = await server.get('/')
  t.match(body, /href="\/runbooks\/\w+"\s*>Runbook: \w+/)
})

t.test('renders and escapes Markdown', async t => {
  const alertRunbooks = new Map([
    [
      'Hostile',
      '# <b>Hostile</b>\n\nA `<i>` and **<u>**.\n\n```sh\n<script>\n\nend\n```\n\n- one\n- two',
    ],
  ])
  const exporter = createPageExporter({ version: '1', alertRunbooks })
  const server = await serve(viewOf(demoSnapshot()), exporter)
  t.teardown(() => server.close())
  const { body } = await server.get('/runbooks/Hostile')
  const main = /<main>([^]*)<\/main>/.exec(body)?.[1] ?? ''
  t.match(main, '<h1>&lt;b&gt;Hostile&lt;/b&gt;</h1>')
  t.match(main, '<code>&lt;i&gt;</code>')
  t.match(main, '<strong>&lt;u&gt;</strong>')
  t.match(main, '<pre data-copy>&lt;script&gt;\n\nend</pre>')
  t.match(main, /<li>one<\/li><li>two<\/li>/)
})
