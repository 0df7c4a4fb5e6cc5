import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import fc from 'fast-check'
import { checkConfig, loadConfig, parseListen } from '../../src/config/config.ts'
import { configSchema } from '../../src/config/schema.ts'
import { digestOf } from '../../src/config/watch.ts'
import { knowledge } from '../../src/cli/knowledge.ts'

const errorsOf = (value: unknown): readonly string[] => {
  const checked = checkConfig(JSON.stringify(value), knowledge)
  return checked.ok ? [] : checked.errors
}

t.test('nothing at all is a good configuration with every default', async t => {
  const checked = checkConfig('', knowledge)
  t.match(checked, {
    ok: true,
    config: {
      listen: ['127.0.0.1:10922'],
      schedule: { login: '*/2 * * * *', disk: '*/30 * * * * *' },
      canary: { enabled: true, mode: 'private' },
      concurrency: { logins: 10, canaries: 4 },
    },
  })
})

t.test('says all errors at once, with their path and the near name', async t => {
  const errors = errorsOf({
    lisen: [],
    schedule: { login: 'every day', cannary: '* * * * *' },
    canary: { mode: 'both' },
    concurrency: { logins: 'many' },
  })
  t.match(errors, [
    '/lisen: there is no such option, did you mean listen?',
    '/schedule/cannary: there is no such option, did you mean canary?',
    '/concurrency/logins: must be integer',
    '/canary/mode: must be one of private, daemon',
  ])
})

t.test('says what is wrong with times, addresses and time zones', async t => {
  const errors = errorsOf({
    schedule: { login: '99 * * * *' },
    listen: ['localhost'],
    timeZone: 'Middle/Earth',
  })
  t.match(errors, [
    /^\/schedule\/login: "99 \* \* \* \*" is no cron expression: /,
    '/listen/0: "localhost" is not host:port',
    '/timeZone: "Middle/Earth" is no time zone',
  ])
})

t.test('broken JSON is one sentence with its line', async t => {
  const checked = checkConfig('{\n  "listen": [\n', knowledge)
  t.equal(checked.ok, false)
  if (!checked.ok) t.match(checked.errors, [/not JSON/])
})

t.test('exceptions of a builder have defaults of their own', async t => {
  const checked = checkConfig('{"builders":{"laptop":{"expect":"asleep"}}}', knowledge)
  t.match(checked, {
    config: { builders: { laptop: { expect: 'asleep', drained: false, canary: true } } },
  })
})

t.test('reads addresses as users write them', async t => {
  t.same(parseListen('127.0.0.1:10922'), { host: '127.0.0.1', port: 10922 })
  t.same(parseListen('[::1]:80'), { host: '::1', port: 80 })
  t.same(parseListen(':9000'), { host: '::', port: 9000 })
  for (const bad of ['', '127.0.0.1', '::1:80', 'a:99999', 'a b:1'])
    t.equal(parseListen(bad), null)
})

t.test('a missing file is fine unless it was named', async t => {
  t.equal((await loadConfig('/nowhere/config.json', true, knowledge)).ok, true)
  t.match(await loadConfig('/nowhere/config.json', false, knowledge), {
    errors: ['/nowhere/config.json: cannot be read (ENOENT)'],
  })
})

t.test('config.schema.json is the schema that is used', async t => {
  const file = new URL('../../config.schema.json', import.meta.url)
  t.same(JSON.parse(await readFile(file, 'utf8')), configSchema, 'else: npm run docs')
})

t.test('any JSON is taken or refused in sentences, never thrown at', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const checked = checkConfig(JSON.stringify(value), knowledge)
      return (
        checked.ok ||
        (checked.errors.length > 0 && checked.errors.every(e => e.length < 2000))
      )
    }),
  )
})

t.test('the digest follows content, and files that come and go', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'watch-'))
  const file = join(directory, 'machines')
  const missing = await digestOf([file])
  await writeFile(file, 'a')
  const first = await digestOf([file])
  t.not(first, missing)
  await writeFile(file, 'a')
  t.equal(await digestOf([file]), first)
  await writeFile(file, 'b')
  t.not(await digestOf([file]), first)
  await rm(directory, { recursive: true })
  t.equal(await digestOf([file]), missing)
})
