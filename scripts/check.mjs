// `npm run check`: types, lint, format and unit tests, side by side. ESLint, Prettier and the compiler cache what has not
// changed. Prints the output of each part when it ends; exits with 1 when one failed.
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cache = join('node_modules', '.cache')
const bin = name => join('node_modules', '.bin', name)

const run = (name, file, ...args) =>
  new Promise(resolve => {
    const started = performance.now()
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', text => (output += text))
    child.stderr.on('data', text => (output += text))
    child.on('close', code => {
      const seconds = ((performance.now() - started) / 1000).toFixed(0)
      console.log(`${code === 0 ? '✔' : '✘'} ${name}, ${seconds} s`)
      if (code !== 0) console.log(output.trimEnd())
      resolve(code === 0)
    })
  })

const statics = async () => [
  await run(
    'types',
    bin('tsc'),
    '--noEmit',
    '--incremental',
    '--tsBuildInfoFile',
    join(cache, 'check.tsbuildinfo'),
  ),
  await run(
    'lint',
    bin('eslint'),
    '--cache',
    '--cache-location',
    join(cache, 'eslint/'),
    '.',
  ),
  await run(
    'format',
    bin('prettier'),
    '--cache',
    '--cache-location',
    join(cache, 'prettier'),
    '--check',
    '.',
  ),
]
const tests = run('tests', process.execPath, join('scripts', 'test.mjs'))
const results = [...(await statics()), await tests]
process.exit(results.every(Boolean) ? 0 : 1)
