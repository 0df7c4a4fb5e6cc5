// Writes the files that are generated from the code: config.schema.json, docs/metrics.md, docs/kinds.md, docs/runbooks/,
// docs/alerts.md, the data flow in docs/ARCHITECTURE.md, prometheus/*.yml, grafana/builder-monitor.json and docs/nixos.md.
// Tests compare them with the code. Run: npm run docs
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { configSchema } = await import('../src/config/schema.ts')
writeFileSync(
  join(root, 'config.schema.json'),
  `${JSON.stringify(configSchema, null, 2)}\n`,
)

const { metricsDoc } = await import('./generate/metrics-doc.ts')
mkdirSync(join(root, 'docs'), { recursive: true })
writeFileSync(join(root, 'docs', 'metrics.md'), metricsDoc())

const { kindNames } = await import('../src/model/index.ts')
const { renderKindsTable, renderRunbook, renderRunbookIndex } =
  await import('../src/diagnosis/runbook.ts')
const runbooks = join(root, 'docs', 'runbooks')
mkdirSync(runbooks, { recursive: true })
writeFileSync(join(root, 'docs', 'kinds.md'), renderKindsTable())
writeFileSync(join(runbooks, 'README.md'), renderRunbookIndex())
for (const kind of kindNames)
  writeFileSync(join(runbooks, `${kind}.md`), renderRunbook(kind))

const { alertRules } = await import('../src/alerts/rules.ts')
const { alertRunbook } = await import('../src/alerts/runbook.ts')
const { alertsDoc, alertsFile, recordingRulesFile } =
  await import('./generate/alert-files.ts')
writeFileSync(join(root, 'prometheus', 'alerts.yml'), alertsFile())
writeFileSync(join(root, 'prometheus', 'rules.yml'), recordingRulesFile())
writeFileSync(join(root, 'docs', 'alerts.md'), alertsDoc())
const { dashboardFile } = await import('./generate/dashboard.ts')
writeFileSync(join(root, 'grafana', 'builder-monitor.json'), dashboardFile())
for (const rule of alertRules)
  writeFileSync(join(runbooks, `${rule.name}.md`), alertRunbook(rule))

const { dataFlowSvg, withDataFlow } = await import('./generate/data-flow.ts')
const architecture = join(root, 'docs', 'ARCHITECTURE.md')
writeFileSync(architecture, withDataFlow(readFileSync(architecture, 'utf8')))
writeFileSync(join(root, 'docs', 'images', 'data-flow.svg'), dataFlowSvg())

// The options of the NixOS module follow from the schema; rendering them needs Nix
const options = spawnSync(process.execPath, [join(root, 'scripts', 'nixos-docs.mjs')], {
  encoding: 'utf8',
})
if (options.status === 0) writeFileSync(join(root, 'docs', 'nixos.md'), options.stdout)
else console.error('docs/nixos.md is unchanged: it needs nix-instantiate')
