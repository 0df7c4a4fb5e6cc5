import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import fc from 'fast-check'
import { parseConfig, loadConfig, parseListen } from '../../src/config/config.ts'
import { configWarnings } from '../../src/config/quarantine.ts'
import { configSchema } from '../../src/config/schema.ts'
import { digestFiles } from '../../src/config/digest-files.ts'
import { validationContext } from '../../src/cli/validation-context.ts'

const errorsOf = (value: unknown): readonly string[] => {
  const checked = parseConfig(JSON.stringify(value), validationContext)
  return checked.ok ? [] : checked.errors
}

t.test('empty text is a valid configuration with all defaults', async t => {
  const checked = parseConfig('', validationContext)
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

t.test('reports all errors at once, with path and suggestion', async t => {
  const errors = errorsOf({
    lisen: [],
    schedule: { login: 'every day', cannary: '* * * * *' },
    canary: { mode: 'both' },
    concurrency: { logins: 'many' },
  })
  t.match(errors, [
    '/lisen: unknown option, did you mean listen?',
    '/schedule/cannary: unknown option, did you mean canary?',
    '/concurrency/logins: must be a whole number',
    '/canary/mode: must be one of private, daemon',
  ])
})

t.test('reports invalid cron expressions, addresses and time zones', async t => {
  const errors = errorsOf({
    schedule: { login: '99 * * * *' },
    listen: ['localhost'],
    timeZone: 'Middle/Earth',
  })
  t.match(errors, [
    /^\/schedule\/login: "99 \* \* \* \*" is not a cron expression: /,
    '/listen/0: "localhost" is not host:port',
    '/timeZone: "Middle/Earth" is not a time zone',
  ])
  t.same(errorsOf({ schedule: { canary: '30m' }, listen: ['x'] }), [
    '/listen/0: must have at least 2 characters',
    '/schedule/canary: must be a cron expression with 5 or 6 fields, for example "*/30 * * * *"',
  ])
})

t.test('warns about settings of quarantine without effect', async t => {
  const warnings = (value: object) => {
    const checked = parseConfig(JSON.stringify(value), validationContext)
    return checked.ok ? configWarnings(checked.config) : checked.errors
  }
  t.same(warnings({}), [])
  t.same(warnings({ quarantine: { enable: true, dryRun: true } }), [])
  t.same(warnings({ quarantine: { dryRun: true, abortHungConnects: true } }), [
    '/quarantine/dryRun: has no effect without /quarantine/enable',
    '/quarantine/abortHungConnects: has no effect without /quarantine/enable',
  ])
  t.same(
    warnings({ quarantine: { enable: true, dryRun: true, abortHungConnects: true } }),
    ['/quarantine/abortHungConnects: has no effect with /quarantine/dryRun'],
  )
  t.match(warnings({ quarantine: { enable: true }, canary: { enabled: false } }), [
    /^\/quarantine\/enable: without canaries/,
  ])
  t.same(errorsOf({ quarantine: { machinesFile: 'machines' } }), [
    '/quarantine/machinesFile: must be an absolute path',
  ])
  t.same(errorsOf({ quarantine: { machinesFile: '/run/' } }), [
    '/quarantine/machinesFile: "/run/" is a directory',
  ])
})

t.test('alerting is off by default and reports every error', async t => {
  const none = parseConfig('', validationContext)
  t.match(none, { ok: true, config: { alerting: { enable: false, webhooks: [] } } })
  const good = parseConfig(
    JSON.stringify({
      alerting: {
        enable: true,
        labels: { site: 'x', job: 'nix' },
        externalUrl: 'https://here/monitor',
        disabledAlerts: ['NixBuilderClockSkew'],
        alertmanagers: [
          { url: 'http://alerts:9093/prefix', username: 'a', passwordFile: '/p' },
        ],
        webhooks: [
          { name: 'chat', url: 'http://chat/hook?x=1' },
          { name: 'secret', urlFile: '/run/url' },
        ],
      },
    }),
    validationContext,
  )
  t.match(good, {
    ok: true,
    config: { alerting: { webhooks: [{ repeatHours: 4 }, {}] } },
  })
  t.strictSame(
    errorsOf({
      alerting: {
        labels: { alertname: 'x', instance: 'y' },
        externalUrl: 'here',
        disabledAlerts: ['NixBuilderDwn', 'Nothing'],
        alertmanagers: [
          { url: 'http://me:hunter2@alerts' },
          { url: 'ftp://alerts', tokenFile: '/t', username: 'u' },
          { url: 'http://alerts?x', username: 'u', name: 'chat' },
        ],
        webhooks: [{ name: 'chat', url: 'http://a', urlFile: '/b' }, { name: 'none' }],
      },
    }),
    [
      '/alerting/labels/alertname: every alert already has that label',
      '/alerting/labels/instance: every alert already has that label, set /alerting/instance',
      '/alerting/externalUrl: is not an http or https URL like http://alerts.example.org:9093',
      '/alerting/disabledAlerts/0: there is no alert "NixBuilderDwn", did you mean NixBuilderDown?',
      '/alerting/disabledAlerts/1: there is no alert "Nothing"',
      '/alerting/alertmanagers/0/url: contains a user or password; use username and passwordFile, because this file is not secret',
      '/alerting/alertmanagers/1/url: is not an http or https URL like http://alerts.example.org:9093',
      '/alerting/alertmanagers/1: has tokenFile and username or passwordFile, only one can be used',
      '/alerting/alertmanagers/2/url: must end with the path, without ? and #',
      '/alerting/alertmanagers/2: username and passwordFile must be used together',
      '/alerting/webhooks/0: needs either url or urlFile',
      '/alerting/webhooks/1: needs either url or urlFile',
      '/alerting/webhooks/0/name: another receiver has the name chat',
    ],
  )
  t.strictSame(
    errorsOf({
      alerting: {
        labels: { 'a-b': 'x' },
        alertmanagers: [{}],
        webhooks: [{ name: 'a b', url: 'http://x', passwordFile: 'p', repeatHour: 1 }],
      },
    }),
    [
      '/alerting/labels: "a-b" is not a label name, use letters, digits and _',
      '/alerting/alertmanagers/0: needs url',
      '/alerting/webhooks/0/repeatHour: unknown option, did you mean repeatHours?',
      '/alerting/webhooks/0/name: must contain only letters, digits and . _ -',
      '/alerting/webhooks/0/passwordFile: must be an absolute path',
    ],
  )
})

t.test('reports invalid JSON with its line', async t => {
  const checked = parseConfig('{\n  "listen": [\n', validationContext)
  t.equal(checked.ok, false)
  if (!checked.ok) t.match(checked.errors, [/not JSON/])
})

t.test('builder settings have their own defaults', async t => {
  const checked = parseConfig(
    '{"builders":{"laptop":{"expect":"asleep"}}}',
    validationContext,
  )
  t.match(checked, {
    config: { builders: { laptop: { expect: 'asleep', drained: false, canary: true } } },
  })
})

t.test('parses listen addresses', async t => {
  t.same(parseListen('127.0.0.1:10922'), { host: '127.0.0.1', port: 10922 })
  t.same(parseListen('[::1]:80'), { host: '::1', port: 80 })
  t.same(parseListen(':9000'), { host: '::', port: 9000 })
  for (const bad of ['', '127.0.0.1', '::1:80', 'a:99999', 'a b:1'])
    t.equal(parseListen(bad), null)
})

t.test('accepts a missing file only if it is optional', async t => {
  t.equal((await loadConfig('/nowhere/config.json', true, validationContext)).ok, true)
  t.match(await loadConfig('/nowhere/config.json', false, validationContext), {
    errors: ['/nowhere/config.json: does not exist'],
  })
})

t.test('config.schema.json equals the schema', async t => {
  const file = new URL('../../config.schema.json', import.meta.url)
  t.same(JSON.parse(await readFile(file, 'utf8')), configSchema, 'if not: npm run docs')
})

t.test('any JSON is accepted or rejected with messages', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const checked = parseConfig(JSON.stringify(value), validationContext)
      return (
        checked.ok ||
        (checked.errors.length > 0 && checked.errors.every(e => e.length < 2000))
      )
    }),
  )
})

t.test('the digest changes with content, new files and removed files', async t => {
  const directory = await mkdtemp(join(tmpdir(), 'watch-'))
  const file = join(directory, 'machines')
  const missing = await digestFiles([file])
  await writeFile(file, 'a')
  const first = await digestFiles([file])
  t.not(first, missing)
  await writeFile(file, 'a')
  t.equal(await digestFiles([file]), first)
  await writeFile(file, 'b')
  t.not(await digestFiles([file]), first)
  await rm(directory, { recursive: true })
  t.equal(await digestFiles([file]), missing)
})
