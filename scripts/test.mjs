// Runs test files: each is a program that prints TAP, which tap-parser reads. (`tap run` does the same with three more module
// loaders in each file and each child process, at two and a half times the processor time.)
//
//   node scripts/test.mjs [--jobs N] [--limit SECONDS] [FILE...]      without FILE: all that need only Node
//
// Prints a line per file and all of each failure; the whole output is in .tap/test-results, the counts in .tap/summary.
import { spawn } from 'node:child_process'
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
if (!existsSync(join(root, 'node_modules', 'tap-parser')))
  throw new Error('tap is not installed: run `npm ci --ignore-scripts`')
const { Parser } = await import('tap-parser')

const { values, positionals } = parseArgs({
  options: { jobs: { type: 'string' }, limit: { type: 'string' } },
  allowPositionals: true,
})
/** One more than processors: many tests wait. */
const jobs = Number(values.jobs ?? Math.min(6, 1 + Math.max(2, availableParallelism())))
/** Seconds that a file may take, unless it sets another limit. */
const limit = Number(values.limit ?? 180)
const found = dir =>
  readdirSync(dir, { recursive: true })
    .map(String)
    .filter(file => file.endsWith('.test.ts') && !file.startsWith('lab'))
    .map(file => relative(root, join(dir, file)))
    // Tests of whole programs take longest: first
    .sort((a, b) => b.includes('/cli/') - a.includes('/cli/') || (a < b ? -1 : 1))
const files = positionals.length ? positionals : found(join(root, 'test'))
const loader = pathToFileURL(join(root, 'scripts', 'ts', 'register.mjs')).href
const kept = join(root, '.tap')
rmSync(kept, { recursive: true, force: true })

const count = { pass: 0, fail: 0, skip: 0, todo: 0 }
const failures = []
const running = new Set()
process.once('exit', () => running.forEach(child => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    for (const child of running) child.kill(signal)
    process.exit(1)
  })

/** Formats a failure: a diff when there is one. */
const detailsOf = ({ diff, stack, at, ...rest }) => {
  const place = at?.fileName ? `at ${at.fileName}:${at.lineNumber}` : stack
  const more = Object.keys(rest).length > 0 ? JSON.stringify(rest, null, 2) : ''
  return [diff, more, place]
    .filter(Boolean)
    .join('\n')
    .slice(0, 4000)
    .replace(/^/gm, '      ')
}

const runFile = file =>
  new Promise(resolve => {
    const started = performance.now()
    const own = { pass: 0, fail: 0, skip: 0, todo: 0 }
    const details = []
    const fail = (name, diag) => {
      own.fail++
      details.push(`  ✘ ${name}\n${diag ? `${detailsOf(diag)}\n` : ''}`)
      failures.push(`${file}: ${name} ${JSON.stringify(diag ?? '').slice(0, 1500)}`)
    }
    let isOk = true
    const parser = new Parser(results => (isOk = results.ok))
    for (const kind of ['pass', 'skip', 'todo']) parser.on(kind, () => own[kind]++)
    parser.on('fail', ({ fullname, diag }) => fail(fullname, diag))

    const log = join(kept, 'test-results', `${file}.tap`)
    mkdirSync(dirname(log), { recursive: true })
    const child = spawn(
      process.execPath,
      [`--import=${loader}`, '--enable-source-maps', file],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, TAP: '1', TAP_TIMEOUT: String(limit) },
      },
    )
    running.add(child)
    child.stdout.pipe(createWriteStream(log))
    child.stdout.pipe(parser)
    // The file has its own limit; this is for one that ignores it
    const killTimer = setTimeout(() => child.kill('SIGKILL'), 2000 * limit)
    child.on('close', (code, signal) => {
      clearTimeout(killTimer)
      running.delete(child)
      // A broken plan, a crash or no output is a failure without a failed assertion
      if (own.fail === 0 && (code !== 0 || !isOk))
        fail(`the file exited with ${signal ?? `exit code ${code}`}, see ${log}`)
      else if (own.pass + own.fail === 0) fail('no assertion was made')
      for (const kind of Object.keys(count)) count[kind] += own[kind]
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      const sign = own.fail > 0 ? '✘' : '✔'
      console.log(`${sign} ${file}  ${own.pass} assertions, ${seconds} s`)
      if (details.length > 0) console.log(details.join(''))
      resolve()
    })
  })

const started = performance.now()
const waiting = [...files]
const work = async () => {
  for (let file; (file = waiting.shift());) await runFile(file)
}
await Promise.all(Array.from({ length: jobs }, work))

const skipped = count.skip + count.todo
mkdirSync(kept, { recursive: true })
writeFileSync(
  join(kept, 'summary'),
  [`${count.pass} ${count.fail} ${skipped}`, ...failures, ''].join('\n'),
)
const seconds = ((performance.now() - started) / 1000).toFixed(0)
console.log(
  `\n${files.length} files in ${seconds} s: ${count.pass} assertions passed, ${count.fail} failed, ${skipped} skipped`,
)
if (!process.env.BUILDER_MONITOR_CI && !positionals.length)
  console.log('\nNot run here: the real fleet. On Debian, as root: npm run test:lab')
process.exit(count.fail > 0 ? 1 : 0)
