/** Protection against DNS rebinding, with real requests. */
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { createAllowHost } from '../../../src/exporters/http/allowed-hosts.ts'
import { startHttpServer } from '../../../src/exporters/http/http-server.ts'
import { machineNames } from '../../../src/exporters/http/machine-names.ts'
import { createRequestHandler } from '../../../src/exporters/http/request-handler.ts'
import { silentLog } from '../../../src/log/log.ts'
import type { WebAccess } from '../../../src/model/index.ts'

const type = 'text/plain; charset=utf-8'

t.test('accepts addresses, localhost and the names of this machine', async t => {
  const allow = createAllowHost(() => ['Builds.Example', 'desk'])
  for (const host of [
    undefined,
    '127.0.0.1',
    '127.0.0.1:10922',
    '192.0.2.7:10922',
    '[::1]',
    '[::1]:10922',
    '[2001:db8::1]:10922',
    'localhost',
    'localhost:10922',
    'LOCALHOST.:10922',
    'demo.localhost',
    'builds.example:10922',
    'builds.example.',
    'desk',
  ])
    t.ok(allow(host), host ?? 'no header')
  for (const host of [
    '',
    'attacker.example',
    'attacker.example:10922',
    'localhost.attacker.example',
    'desk.attacker.example',
    'builds.example.attacker.example',
    '127.0.0.1.attacker.example',
    '127.0.0.1@attacker.example',
    'attacker.example, localhost',
    '[::1',
    '::1',
    'localhost:10922:1',
    'localhost/',
    ' localhost',
    'a'.repeat(10_000),
  ])
    t.notOk(allow(host), JSON.stringify(host.slice(0, 40)))
})

t.test('finds the names of this machine', async t => {
  const hosts = [
    '127.0.0.1 localhost',
    '127.0.1.1\tdesk.example.org desk # this machine',
    '192.0.2.7 builds.example',
    '192.0.2.8 other.example',
    '#192.0.2.7 commented.example',
    '',
  ].join('\n')
  t.same(
    [...machineNames('desk.lan', hosts, new Set(['192.0.2.7']))],
    ['desk.lan', 'desk', 'desk.local', 'localhost', 'desk.example.org', 'builds.example'],
  )
})

const open: WebAccess = { tls: null, users: new Map(), headers: {}, rateLimit: null }

const serve = async (t: Test, access: WebAccess, kind?: 'control' | 'unix') => {
  const handler = createRequestHandler({
    routes: [
      { method: 'GET', path: '/', handle: () => ({ status: 200, type, body: '' }) },
    ],
    log: silentLog,
    access: () => access,
    allowHost: createAllowHost(() => ['desk']),
  })
  const server = await startHttpServer({ host: '127.0.0.1', port: 0 }, handler, kind)
  t.teardown(() => server.close())
  const [, port] = server.address.split(':')
  return (host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: '/', headers: { host } }, response => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
}

t.test('answers 421 to the host of another page', async t => {
  const get = await serve(t, open)
  t.equal(await get('attacker.example:10922'), 421)
  t.equal(await get('localhost:10922'), 200)
  t.equal(await get('desk:10922'), 200)
})

t.test('passwords protect instead, and proxies use a unix socket', async t => {
  const users = new Map([['a', '$2y$04$invalid']])
  t.equal(await (await serve(t, { ...open, users }))('proxy.example'), 401)
  for (const kind of ['control', 'unix'] as const)
    t.equal(await (await serve(t, open, kind))('proxy.example'), 200, kind)
})
