import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { version } from '../src/version.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const src = join(root, 'src')

interface Import {
  readonly from: string
  readonly to: string
  readonly isType: boolean
}

const files = readdirSync(src, { recursive: true })
  .map(String)
  .filter(file => file.endsWith('.ts'))

const imports: readonly Import[] = files.flatMap(from => {
  const text = readFileSync(join(src, from), 'utf8')
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gm)
  return [...found].map(([, type, to]) => ({
    from,
    to: to!.startsWith('.') ? relative(src, resolve(src, dirname(from), to!)) : to!,
    isType: type !== undefined,
  }))
})

const roomOf = (file: string): string => (file.includes('/') ? file.split('/')[0]! : '')
/** Open to every room. */
const groundFloor = ['text', 'model', 'log', 'nix', 'diagnosis']
/** Where rooms meet. */
const meetingPlaces = ['cli', 'daemon', 'engine', '']

t.test('a room imports its own files and the ground floor only', async t => {
  const strays = imports.filter(({ from, to }) => {
    if (!to.endsWith('.ts')) return false
    const [here, there] = [roomOf(from), roomOf(to)]
    if (here === there || meetingPlaces.includes(here) || groundFloor.includes(there))
      return false
    return true
  })
  t.same(strays, [])
})

t.test('the ground floor imports nothing above it', async t => {
  const strays = imports.filter(
    ({ from, to }) =>
      groundFloor.includes(roomOf(from)) &&
      to.endsWith('.ts') &&
      !groundFloor.includes(roomOf(to)) &&
      true,
  )
  t.same(strays, [])
  const fromDiagnosis = imports.filter(
    ({ from, to }) => roomOf(from) === 'nix' && roomOf(to) === 'diagnosis',
  )
  t.same(fromDiagnosis, [], 'and nix/ knows nothing of diagnosis')
})

t.test('each npm package has one adaptor', async t => {
  const users = new Map<string, Set<string>>()
  for (const { from, to, isType } of imports)
    if (!isType && !to.endsWith('.ts') && !to.startsWith('node:'))
      users.set(to, (users.get(to) ?? new Set()).add(from))
  // The demo plays the other side: its servers are ssh2 servers
  const fleet = users.get('ssh2') ?? new Set()
  for (const file of [...fleet]) if (roomOf(file) === 'demo') fleet.delete(file)
  for (const [name, files] of users)
    t.equal(files.size, 1, `${name}: ${[...files].join(', ')}`)
})

t.test('there are no circles', async t => {
  const graph = new Map(files.map(file => [file, [] as string[]]))
  for (const { from, to, isType } of imports)
    if (to.endsWith('.ts') && !isType) graph.get(from)?.push(to)
  const done = new Set<string>()
  const circles: string[] = []
  const walk = (file: string, path: readonly string[]) => {
    if (path.includes(file))
      circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
    else if (!done.has(file)) {
      for (const next of graph.get(file) ?? []) walk(next, [...path, file])
      done.add(file)
    }
  }
  for (const file of files) walk(file, [])
  t.same(circles, [])
})

t.test('no default exports and no any', async t => {
  for (const file of files) {
    const text = readFileSync(join(src, file), 'utf8')
    t.notMatch(text, /^export default/m, file)
    t.notMatch(text, /: any[\s,;)\]>=]|<any>|as any\b/, file)
  }
})

t.test('the map names every room', async t => {
  const map = readFileSync(join(root, 'docs', 'ARCHITECTURE.md'), 'utf8')
  for (const room of new Set(files.map(roomOf).filter(Boolean))) t.match(map, `${room}/`)
})

t.test('the version is that of package.json', async t => {
  const { version: published } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as {
    version: string
  }
  t.equal(version, published)
})
