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

const script = `
  const { createLog } = await import(${JSON.stringify(new URL('../src/log.ts', import.meta.url).href)})
  const log = createLog('debug', process.env.JOURNAL_STREAM)
  log.debug({ passphrase: 'planted-secret' }, 'one')
  log.info({}, 'two')
  log.warn({}, 'three')
  log.child({ builder: 'b' }).error({}, 'four')
`

/** What a process writes whose standard output is a file, with JOURNAL_STREAM made from that file. */
const linesWith = (journalStream: (own: string) => string | undefined): string[] => {
  const directory = mkdtempSync(join(tmpdir(), 'log-'))
  const file = join(directory, 'out')
  const fd = openSync(file, 'w')
  const { dev, ino } = fstatSync(fd, { bigint: true })
  const { JOURNAL_STREAM: _, ...env } = process.env
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

t.test('in the journal each line begins with its priority', async t => {
  const lines = linesWith(own => own)
  t.strictSame(
    lines.map(line => line.slice(0, 3)),
    ['<7>', '<6>', '<4>', '<3>'],
  )
  t.match(JSON.parse(lines[3]?.slice(3) ?? ''), { level: 'error', builder: 'b' })
  t.notMatch(lines.join(), 'planted-secret')
})

t.test('elsewhere lines are JSON alone, an inherited JOURNAL_STREAM too', async t => {
  for (const lines of [linesWith(() => undefined), linesWith(() => '1:2')])
    t.strictSame(
      lines.map(line => (JSON.parse(line) as { msg: string }).msg),
      ['one', 'two', 'three', 'four'],
    )
})
