import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import {
  branches,
  dataFlowSvg,
  trunk,
  withDataFlow,
} from '../scripts/generate/data-flow.ts'
import { version } from '../src/version.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8')

interface Import {
  readonly from: string
  readonly to: string
  readonly isType: boolean
}

const files = readdirSync(src, { recursive: true })
  .map(String)
  .filter(file => file.endsWith('.ts'))

const imports: readonly Import[] = files.flatMap(from => {
  const text = read('src', from)
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gm)
  return [...found].map(([, type, to]) => ({
    from,
    to: to!.startsWith('.') ? relative(src, resolve(src, dirname(from), to!)) : to!,
    isType: type !== undefined,
  }))
})
const internal = imports.filter(({ to }) => to.endsWith('.ts'))

const folderOf = (file: string): string => (file.includes('/') ? file.split('/')[0]! : '')

/** Each may be imported by every folder, and imports only those before it. */
const foundations = ['text', 'model', 'log', 'nix', 'diagnosis']
/** Each imports only foundations. */
const parts = [
  'config',
  'transport',
  'probes',
  'schedule',
  'state',
  'quarantine',
  'alerts',
  'exporters',
  'demo',
]
/** Each connects what is before it. */
const composition = ['engine', 'daemon', 'cli', '']

const mayImport = (from: string, to: string): boolean => {
  if (from === to || to === '') return true
  if (foundations.includes(from))
    return foundations.slice(0, foundations.indexOf(from)).includes(to)
  if (foundations.includes(to)) return true
  if (parts.includes(from)) return false
  if (from === 'engine') return parts.includes(to) && to !== 'exporters' && to !== 'demo'
  return (
    parts.includes(to) || composition.slice(0, composition.indexOf(from)).includes(to)
  )
}

t.test('every folder imports only the layers below it, types included', async t => {
  const forbidden = internal.filter(
    ({ from, to }) => !mayImport(folderOf(from), folderOf(to)),
  )
  t.same(forbidden, [])
  const known = new Set([...foundations, ...parts, ...composition])
  t.same(
    [...new Set(files.map(folderOf))].filter(folder => !known.has(folder)),
    [],
  )
})

t.test('exporters import no other exporter, only the HTTP server they share', async t => {
  const subfolder = (file: string) => file.split('/').slice(1, -1)[0] ?? ''
  const forbidden = internal.filter(
    ({ from, to }) =>
      folderOf(from) === 'exporters' &&
      folderOf(to) === 'exporters' &&
      !['', 'http', subfolder(from)].includes(subfolder(to)) &&
      from !== 'exporters/index.ts',
  )
  t.same(forbidden, [])
})

t.test('there are no import cycles, types included', async t => {
  const graph = new Map(files.map(file => [file, [] as string[]]))
  for (const { from, to } of internal) graph.get(from)?.push(to)
  const done = new Set<string>()
  const cycles: string[] = []
  const walk = (file: string, path: readonly string[]) => {
    if (path.includes(file))
      cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) walk(next, [...path, file])
      done.add(file)
    }
  }
  for (const file of files) walk(file, [])
  t.same(cycles, [])
})

t.test('each npm package is imported by one adapter file', async t => {
  const users = new Map<string, Set<string>>()
  for (const { from, to, isType } of imports)
    if (!isType && !to.endsWith('.ts') && !/^node:|\.json$/.test(to))
      users.set(to, (users.get(to) ?? new Set()).add(from))
  // The servers of the demo are ssh2 servers
  const ssh2 = users.get('ssh2') ?? new Set()
  for (const file of [...ssh2]) if (folderOf(file) === 'demo') ssh2.delete(file)
  for (const [name, files] of users)
    t.equal(files.size, 1, `${name}: ${[...files].join(', ')}`)
})

t.test('no default exports and no any', async t => {
  const forbidden = /^export default|: any[\s,;)\]>=]|<any>|\bas any\b/m
  t.same(
    files.filter(file => forbidden.test(read('src', file))),
    [],
  )
})

t.test('the root of src holds at most three files', async t => {
  t.same(files.filter(file => folderOf(file) === '').sort(), ['main.ts', 'version.ts'])
})

/** Tables, and single state machines that are easier to read in one piece. */
const longFiles = new Set([
  'diagnosis/kinds/remote.ts',
  'diagnosis/kinds/client.ts',
  'diagnosis/message-rules.ts',
  'config/schema.ts',
  'engine/monitor.ts',
  'state/store.ts',
  'transport/ssh/options/option-rules.ts',
])

t.test('files have at most 250 lines, except a list', async t => {
  const lines = (file: string) => read('src', file).split('\n').length - 1
  t.same(
    files.filter(file => lines(file) > 250 && !longFiles.has(file)),
    [],
  )
  t.same(
    [...longFiles].filter(file => !existsSync(join(src, file)) || lines(file) <= 250),
    [],
    'the list has no entry too many',
  )
})

t.test('docs/ARCHITECTURE.md describes every folder, and no other', async t => {
  const described = [
    ...read('docs', 'ARCHITECTURE.md').matchAll(/^\| `([\w/-]+)\/` \|/gm),
  ]
    .map(([, folder]) => folder!)
    .sort()
  const folders = new Set(files.map(file => dirname(file)).filter(dir => dir !== '.'))
  t.same(described, [...folders].sort())
})

t.test('the data flow in docs/ARCHITECTURE.md is that of the code', async t => {
  const hops = [...trunk, ...branches.flatMap(branch => branch.hops)]
  for (const { file, name } of hops)
    t.match(
      read('src', file),
      new RegExp(`export const ${name}\\b|^ {2,4}${name}: async`, 'm'),
      `${file} has ${name}`,
    )
  const document = read('docs', 'ARCHITECTURE.md')
  t.equal(document, withDataFlow(document), 'run npm run docs')
  t.equal(read('docs', 'images', 'data-flow.svg'), dataFlowSvg(), 'run npm run docs')
})

t.test('test/ mirrors the folders of src/', async t => {
  const others = ['lab', 'nixos', 'support', 'fixtures']
  const folders = readdirSync(join(root, 'test'), { withFileTypes: true })
    .filter(entry => entry.isDirectory() && !others.includes(entry.name))
    .map(({ name }) => name)
  t.same(
    folders.filter(name => !existsSync(join(src, name))),
    [],
  )
})

t.test('the version is that of package.json', async t => {
  const { version: published } = JSON.parse(read('package.json')) as {
    version: string
  }
  t.equal(version, published)
})
