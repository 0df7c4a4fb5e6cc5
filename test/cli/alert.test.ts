/** `alert test` with a running daemon and real receivers on loopback. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startReceiver, status } from '../alerts/delivery/receiver.ts'
import { conf, run, start } from './support.ts'

const begin = async (t: Test, alerting: object) => {
  const env = await conf(t, '')
  const directory = env['NIX_CONF_DIR']!
  const config = join(directory, 'config.json')
  const write = (next: object) =>
    writeFile(config, JSON.stringify({ listen: ['127.0.0.1:0'], alerting: next }))
  await write(alerting)
  const runtime = { ...env, RUNTIME_DIRECTORY: directory }
  const daemon = start(['run', '--config', config, '--log-format', 'json'], runtime)
  t.teardown(() => daemon.child.kill('SIGKILL'))
  const [, address] = await daemon.saw(/"addresses":\["([^"]+)"/)
  const runAlert = (...args: string[]) => run(['alert', ...args], runtime)
  return { address: address!, runAlert, write, reload: () => run(['reload'], runtime) }
}

interface Sent {
  readonly labels: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
}

t.test('alert test reports the result of every configured receiver', async t => {
  const good = await startReceiver(t)
  const strict = await startReceiver(t, status(401, 'who are you?'))
  const chat = await startReceiver(t)
  const secret = join(t.testdir({ url: `${chat.url}/hook-s3cret\n` }), 'url')
  const { runAlert, address } = await begin(t, {
    // Receivers can be tested before alerting is enabled
    enable: false,
    labels: { site: 'berlin' },
    externalUrl: 'http://builders.example/',
    alertmanagers: [{ url: good.url }, { url: strict.url, name: 'strict' }],
    webhooks: [
      { name: 'chat', urlFile: secret },
      { name: 'lost', urlFile: '/does/not/exist' },
    ],
  })
  const { code, stdout, stderr } = await runAlert('test')
  t.equal(code, 1, stderr)
  t.same(stdout.split('\n'), [
    `✔ Alertmanager ${good.label}: test alert delivered`,
    '✘ Alertmanager strict: HTTP status 401: who are you?',
    '✔ webhook chat: test alert delivered',
    '✘ webhook lost: /does/not/exist is not readable (no such file)',
    '',
  ])
  t.equal(good.got[0]?.path, '/api/v2/alerts')
  const [alert] = JSON.parse(good.got[0]?.body ?? '[]') as Sent[]
  t.match(alert?.labels, {
    alertname: 'NixBuilderMonitorTest',
    severity: 'info',
    site: 'berlin',
    job: 'builder-monitor',
  })
  t.ok(
    Date.parse(alert!.endsAt) - Date.parse(alert!.startsAt) < 250_000,
    'ends by itself',
  )
  t.same(
    chat.got.map(({ path, body }) => [
      path,
      (JSON.parse(body) as { status: string }).status,
    ]),
    [
      ['/hook-s3cret', 'firing'],
      ['/hook-s3cret', 'resolved'],
    ],
    'a webhook also gets the resolved alert',
  )
  const overHttp = await fetch(`http://${address}/-/alert-test`, { method: 'POST' })
  t.equal(overHttp.status, 403, 'only through the control socket')
  t.equal(good.got.length, 1)
})

t.test(
  'alert test exits with 0 for success, 3 without receivers or for a typo',
  async t => {
    const good = await startReceiver(t)
    const { runAlert, write, reload } = await begin(t, {
      alertmanagers: [{ url: good.url }],
    })
    t.match(await runAlert('test'), { code: 0 })
    await write({})
    t.match(await reload(), { code: 0 })
    t.match(await runAlert('test'), { code: 3, stderr: /no receivers configured/ })
    t.match(await runAlert('tset'), {
      code: 3,
      stderr: /unknown command 'tset' \(did you mean test\?\)/,
    })
  },
)
