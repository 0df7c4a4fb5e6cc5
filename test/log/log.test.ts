import { spawnSync } from 'node:child_process'
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { prettyLine } from '../../src/log/pretty.ts'

const script = `
  const { createLog } = await import(${JSON.stringify(new URL('../../src/log/log.ts', import.meta.url).href)})
  const log = createLog('debug', {
    journalStream: process.env.JOURNAL_STREAM,
    format: process.env.LOG_FORMAT ?? 'auto',
  })
  const err = Object.assign(new Error('it broke'), {
    code: 'EIO', spawnargs: ['planted-secret'], config: { auth: { password: 'planted-secret' } },
  })
  log.debug({ passphrase: 'planted-secret', err, a: { b: { c: { token: 'planted-secret' } } } }, 'one')
  log.info({ said: 'a\\u001b[31mb\\nc\\u202ed\\u009be' }, 'two')
  log.warn({}, 'three')
  log.child({ builder: 'b', env: { A: 'planted-secret' } }).error({}, 'four')
`

/** Output of a process whose stdout is a file, with JOURNAL_STREAM computed from that file. */
const linesWith = (
  journalStream: (own: string) => string | undefined,
  format?: string,
): string[] => {
  const directory = mkdtempSync(join(tmpdir(), 'log-'))
  const file = join(directory, 'out')
  const fd = openSync(file, 'w')
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const { JOURNAL_STREAM: _, ...inherited } = process.env
  const env = format === undefined ? inherited : { ...inherited, LOG_FORMAT: format }
  const value = journalStream(`${dev}:${ino}`)
  spawnSync(
    process.execPath,
    [...process.execArgv, '--input-type=module', '--eval', script],
    {
      stdio: ['ignore', fd, 'inherit'],
      env: value === undefined ? env : { ...env, JOURNAL_STREAM: value },
    },
  )
  closeSync(fd)
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  rmSync(directory, { recursive: true })
  return lines
}

t.test('lines in the journal start with their priority', async t => {
  const lines = linesWith(own => own)
  t.strictSame(
    lines.map(line => line.slice(0, 3)),
    ['<7>', '<6>', '<4>', '<3>'],
  )
  t.match(JSON.parse(lines[3]?.slice(3) ?? ''), { level: 'error', builder: 'b' })
  t.notMatch(lines.join(), 'planted-secret')
})

t.test(
  'lines outside the journal are only JSON, also with an inherited JOURNAL_STREAM',
  async t => {
    for (const lines of [linesWith(() => undefined), linesWith(() => '1:2')])
      t.strictSame(
        lines.map(line => (JSON.parse(line) as { msg: string }).msg),
        ['one', 'two', 'three', 'four'],
      )
  },
)

t.test('removes secrets from nested fields', async t => {
  for (const format of ['json', 'pretty']) {
    const text = linesWith(() => undefined, format).join('\n')
    t.match(text, /it broke/)
    t.match(text, /\[hidden\]/)
    t.notMatch(text, 'planted-secret')
  }
})

t.test('pretty output has one line per record, without control characters', async t => {
  const lines = linesWith(() => undefined, 'pretty').map(line =>
    line.replace(/^\S+ /, ''),
  )
  t.match(lines[0], /^DEBUG one passphrase="\[hidden\]" err="it broke" a=\{/)
  t.strictSame(lines.slice(1), [
    'INFO  two said="ab cde"',
    'WARN  three',
    'ERROR four builder=b env="[hidden]"',
  ])
  t.strictSame(
    linesWith(own => own, 'pretty').map(line => line.slice(0, 3)),
    ['<7>', '<6>', '<4>', '<3>'],
    'lines in the journal have a priority',
  )
})

t.test('uses colors if requested and sanitizes lines that are not JSON', async t => {
  const esc = String.fromCharCode(27)
  const json = '{"level":"warn","time":"T","msg":"m","n":1}'
  t.equal(prettyLine(json, false), 'T WARN  m n=1\n')
  t.equal(
    prettyLine(json, true),
    `${esc}[2mT${esc}[0m ${esc}[33mWARN ${esc}[0m m ${esc}[2mn=${esc}[0m1\n`,
  )
  t.equal(prettyLine(`not ${esc}[31mJSON\n`, false), 'not JSON\n')
})
