// `npm test`: the tests that need nothing but Node, then the name of the suite that needs a real fleet.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const found = dir =>
  readdirSync(dir, { recursive: true })
    .map(String)
    .filter(file => file.endsWith('.test.ts') && !file.startsWith('lab'))
    .map(file => relative(root, join(dir, file)))
    .sort()

const wanted = process.argv.slice(2)
const files = wanted.length ? wanted : found(join(root, 'test'))
const tap = join(root, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs')
if (!existsSync(tap))
  throw new Error('tap is not installed: run `npm ci --ignore-scripts`')
// Behind tap's own loader, so it is asked first
const loader = pathToFileURL(join(root, 'scripts', 'ts', 'register.mjs')).href
const { status } = spawnSync(
  process.execPath,
  [
    ...[tap, 'run', '--disable-coverage', '--reporter=terse'],
    `--jobs=${Math.min(4, Math.max(2, availableParallelism()))}`,
    // From Node 22 on this leaves out tap's own translator, which costs half a second for each file
    '--type-strip-only',
    ...[`--node-arg=--import=${loader}`, ...files],
  ],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
if (!process.env.BUILDER_MONITOR_CI && !wanted.length)
  console.log('\nNot run here: the real fleet. On Debian, as root: npm run test:lab')
process.exit(status ?? 1)
