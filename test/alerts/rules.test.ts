/** Generated files of the alerts are up to date; series and linked pages exist. */
import { readdir, readFile, stat } from 'node:fs/promises'
import t from 'tap'
import {
  alertsDoc,
  alertsFile,
  recordingRulesFile,
  runbookBase,
} from '../../scripts/generate/alert-files.ts'
import { dashboardFile, dashboardQueries } from '../../scripts/generate/dashboard.ts'
import { alertRunbook } from '../../src/alerts/runbook.ts'
import { alertRules } from '../../src/alerts/rules.ts'
import { families } from '../../src/exporters/prometheus/families.ts'

const root = new URL('../../', import.meta.url)
const text = (path: string) => readFile(new URL(path, root), 'utf8').catch(() => '')

t.test('generated files are up to date (else: npm run docs)', async t => {
  t.equal(await text('prometheus/alerts.yml'), alertsFile())
  t.equal(await text('prometheus/rules.yml'), recordingRulesFile())
  t.equal(await text('docs/alerts.md'), alertsDoc())
  t.equal(await text('grafana/builder-monitor.json'), dashboardFile())
  for (const rule of alertRules)
    t.equal(await text(`docs/runbooks/${rule.name}.md`), alertRunbook(rule), rule.name)
})

t.test('rules and their tests only use series that builder-monitor exports', async t => {
  const names = new Set<string>(families.map(({ name }) => name))
  const sources = [
    await text('prometheus/alerts.yml'),
    await text('prometheus/rules.yml'),
    await text('prometheus/tests/alerts.yml'),
    ...dashboardQueries(),
  ].join('\n')
  // Names after a colon are recording rules
  const used = sources.match(/(?<![\w:/-])(?:nix_|builder_monitor_)\w+(?!\w*:)/g) ?? []
  t.ok(used.length > 50)
  t.same(
    [...new Set(used)].filter(name => !names.has(name)),
    [],
  )
})

t.test(
  'every alert follows the conventions and has a firing and a non-firing test',
  async t => {
    const tests = await text('prometheus/tests/alerts.yml')
    for (const { name, summary, description } of alertRules) {
      t.match(name, /^Nix[A-Z]\w+$/)
      t.match(
        summary,
        /^[A-Zb].*[^.]\.$/,
        'the summary starts with a capital letter and ends with a period',
      )
      t.notMatch(summary, /\{\{/, 'the summary has no template')
      t.match(description, /\{\{ \$(?:labels|value)/)
      const blocks = tests
        .split('\n  - name: ')
        .filter(block => block.startsWith(`${name}\n`))
      const all = blocks.join('\n')
      t.match(all, /exp_labels/, `${name} fires`)
      t.equal(
        (all.match(/exp_alerts: \[\]/g) ?? []).length >= 2,
        true,
        `${name}: before and after`,
      )
    }
  },
)

t.test('links in the documentation have a target', async t => {
  const inDocs = await readdir(new URL('docs', root), { recursive: true })
  const pages = [
    ...['README.md', 'CHANGELOG.md'],
    ...inDocs.filter(name => name.endsWith('.md')).map(name => `docs/${name}`),
  ]
  for (const page of pages)
    for (const [, target] of (await text(page)).matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      const there = await stat(new URL(target!, new URL(page, root))).catch(() => null)
      t.ok(there, `${page}: ${target}`)
    }
  t.ok(alertsFile().includes(`${runbookBase}/NixBuilderDown.md`))
})
