/** TLS, client certificates and passwords, with real sockets and certificates. */
import { request, type RequestOptions } from 'node:https'
import { request as plainRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:tls'
import { connect as connectTcp } from 'node:net'
import { networkInterfaces } from 'node:os'
import { hashSync } from 'bcryptjs'
import t, { type Test } from 'tap'
import type { Route } from '../../../src/exporters/http/route.ts'
import { startHttpServer } from '../../../src/exporters/http/http-server.ts'
import { createRequestHandler } from '../../../src/exporters/http/request-handler.ts'
import { silentLog } from '../../../src/log/log.ts'
import type { WebAccess, WebTls } from '../../../src/model/index.ts'
import { certificate } from '../../support/certificates.ts'

const type = 'text/plain; charset=utf-8'
let release: () => void = () => undefined
const routes: readonly Route[] = [
  {
    method: 'GET',
    path: '/',
    handle: () => ({ status: 200, type, body: 'here' }),
  },
  {
    method: 'GET',
    path: '/slow',
    handle: async () => {
      await new Promise<void>(resolve => (release = resolve))
      return { status: 200, type, body: 'at last' }
    },
  },
  {
    method: 'POST',
    path: '/-/act',
    handle: ({ isLocal, isAuthenticated }) => ({
      status: isLocal || isAuthenticated ? 200 : 403,
      type,
      body: JSON.stringify({ isLocal, isAuthenticated }),
    }),
  },
]

const open: WebAccess = { tls: null, users: new Map(), headers: {}, rateLimit: null }
const pair = (name: string) => ({
  cert: certificate(`${name}.pem`),
  key: certificate(`${name}.key`),
})
const tlsOf = (change: Partial<WebTls> = {}): WebTls => ({
  context: pair('server'),
  clientAuth: 'NoClientCert',
  allowedSans: null,
  ...change,
})
const clients = (change: Partial<WebTls>): WebAccess => ({
  ...open,
  tls: tlsOf({ context: { ...pair('server'), ca: certificate('ca.pem') }, ...change }),
})

/** A server whose access can be changed. */
const start = async (t: Test, first: WebAccess, host = '127.0.0.1') => {
  let access = first
  const site = createRequestHandler({ routes, log: silentLog, access: () => access })
  const server = await startHttpServer({ host, port: 0 }, site)
  t.teardown(async () => {
    await server.close()
    site.stop()
  })
  return {
    server,
    port: Number(server.address.split(':').at(-1)),
    change: (next: WebAccess) => {
      access = next
      server.refresh()
    },
  }
}

interface Got {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly certificate: string | undefined
}

const get = (port: number, options: RequestOptions & { isPlain?: boolean } = {}) =>
  new Promise<Got>((resolve, reject) => {
    const ask = options.isPlain ? plainRequest : request
    const ca = certificate('ca.pem')
    const outgoing = ask(
      { host: '127.0.0.1', port, ca, agent: false, ...options },
      answer => {
        let body = ''
        const { socket } = answer
        const peerCertificate =
          'getPeerX509Certificate' in socket
            ? (socket as ReturnType<typeof connect>).getPeerX509Certificate()
            : undefined
        answer.setEncoding('utf8').on('data', (text: string) => (body += text))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            status: answer.statusCode,
            headers: answer.headers,
            body,
            certificate: peerCertificate?.fingerprint256,
          }),
        )
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
  })

t.test('uses a new TLS certificate for new connections only', async t => {
  const { port, change } = await start(t, { ...open, tls: tlsOf() })
  const first = await get(port)
  t.match(first, { status: 200, body: 'here' })
  t.notOk('strict-transport-security' in first.headers, 'HSTS is off by default')

  // A keep-alive connection and a running request
  const keptAlive = connect({ host: '127.0.0.1', port, ca: certificate('ca.pem') })
  t.teardown(() => keptAlive.destroy())
  let answered = ''
  keptAlive.setEncoding('utf8').on('data', (text: string) => (answered += text))
  const ask = async () => {
    answered = ''
    keptAlive.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    while (!answered.includes('here')) await new Promise(resolve => setImmediate(resolve))
  }
  await ask()
  const slow = get(port, { path: '/slow' })
  await ask()
  change({ ...open, tls: tlsOf({ context: pair('renewed') }) })
  const second = await get(port)
  t.equal(second.status, 200)
  t.not(second.certificate, first.certificate, 'new connections get the new certificate')
  await ask()
  t.match(answered, /^HTTP\/1\.1 200 /, 'the old connection still works')
  t.notMatch(answered, /connection: close/i)
  release()
  t.match(await slow, { status: 200, body: 'at last' })
})

t.test('switches TLS on and off without rebinding', async t => {
  const { port, change } = await start(t, open)
  t.equal((await get(port, { isPlain: true })).status, 200)
  const slow = get(port, { isPlain: true, path: '/slow' })
  await get(port, { isPlain: true })
  change({ ...open, tls: tlsOf() })
  await t.rejects(get(port, { isPlain: true }), 'plain HTTP is not served any more')
  t.equal((await get(port)).status, 200)
  release()
  const last = await slow
  t.match(last, { status: 200, body: 'at last' })
  t.equal(last.headers.connection, 'close', 'the plain connection closes')
  change(open)
  t.equal((await get(port, { isPlain: true })).status, 200)
  await t.rejects(get(port))
})

t.test('accepts client certificates according to client_auth_type', async t => {
  const mine = pair('client')
  const untrusted = pair('untrusted')
  const cases = [
    ['NoClientCert', { none: true, untrusted: true, mine: true }],
    ['RequestClientCert', { none: true, untrusted: true, mine: true }],
    ['RequireAnyClientCert', { none: false, untrusted: true, mine: true }],
    ['VerifyClientCertIfGiven', { none: true, untrusted: false, mine: true }],
    ['RequireAndVerifyClientCert', { none: false, untrusted: false, mine: true }],
  ] as const
  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const)
    for (const [clientAuth, wanted] of cases) {
      const { port } = await start(t, clients({ clientAuth }))
      const isIn = async (options: RequestOptions) =>
        (await get(port, { maxVersion, ...options }).catch(() => null))?.status === 200
      t.same(
        {
          none: await isIn({}),
          untrusted: await isIn(untrusted),
          mine: await isIn(mine),
        },
        wanted,
        `${clientAuth} ${maxVersion}`,
      )
    }
})

t.test('matches the names in a client certificate', async t => {
  const isIn = async (...allowedSans: string[]) => {
    const access = clients({ clientAuth: 'RequireAndVerifyClientCert', allowedSans })
    const { port } = await start(t, access)
    return (await get(port, pair('client')).catch(() => null))?.status === 200
  }
  for (const name of [
    'scraper.example',
    '192.0.2.7',
    'ops@example.org',
    'spiffe://example/scraper',
  ])
    t.equal(await isIn('other', name), true, name)
  t.equal(await isIn('example'), false)
  t.equal(await isIn(), false, 'none is allowed')
})

t.test('closes connections that the new policy does not allow', async t => {
  const clientAuth = 'RequireAndVerifyClientCert'
  const { port, change } = await start(t, clients({ clientAuth }))
  const keptAlive = connect({
    host: '127.0.0.1',
    port,
    ca: certificate('ca.pem'),
    ...pair('client'),
  })
  const ended = new Promise<void>(resolve => keptAlive.on('close', () => resolve()))
  keptAlive.on('error', () => undefined)
  let answered = ''
  keptAlive.setEncoding('utf8').on('data', (text: string) => (answered += text))
  keptAlive.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  while (!answered.includes('here')) await new Promise(resolve => setImmediate(resolve))
  const ca = certificate('other-ca.pem')
  const from = Date.now()
  change(clients({ clientAuth, context: { ...pair('server'), ca } }))
  await ended
  t.ok(Date.now() - from < 3000, 'closes at once, not after the idle timeout')
  await t.rejects(get(port, pair('client')))
  t.equal((await get(port, pair('untrusted'))).status, 200)
})

t.test('authenticates only certificates of a configured CA', async t => {
  const authenticate = async (access: WebAccess) => {
    const { port } = await start(t, access)
    const { body } = await get(port, {
      ...pair('client'),
      method: 'POST',
      path: '/-/act',
    })
    return JSON.parse(body) as unknown
  }
  const yes = { isLocal: true, isAuthenticated: true }
  const no = { isLocal: true, isAuthenticated: false }
  t.same(await authenticate(clients({ clientAuth: 'VerifyClientCertIfGiven' })), yes)
  t.same(await authenticate(clients({ clientAuth: 'RequestClientCert' })), no)
  t.same(await authenticate(clients({ clientAuth: 'RequireAnyClientCert' })), no)
})

t.test('supports old TLS versions when configured', async t => {
  const old = {
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
    ciphers: 'ALL:@SECLEVEL=0',
  } as const
  const modern = await start(t, { ...open, tls: tlsOf() })
  await t.rejects(get(modern.port, old))
  const context = {
    ...pair('server'),
    minVersion: 'TLSv1',
    ciphers: old.ciphers,
  } as const
  const { port } = await start(t, { ...open, tls: tlsOf({ context }) })
  t.equal((await get(port, old)).status, 200)
})

t.test('disconnects a client without TLS handshake and serves others', async t => {
  const site = createRequestHandler({
    routes,
    log: silentLog,
    access: () => ({ ...open, tls: tlsOf() }),
    limits: { handshakeMs: 300 },
  })
  const server = await startHttpServer({ host: '127.0.0.1', port: 0 }, site)
  t.teardown(() => server.close())
  const port = Number(server.address.split(':').at(-1))
  const silent = connectTcp(port, '127.0.0.1')
  const ended = new Promise<void>(resolve => silent.on('close', () => resolve()))
  silent.on('error', () => undefined)
  t.equal((await get(port)).status, 200)
  await ended
  const nonsense = connectTcp(port, '127.0.0.1')
  nonsense.on('error', () => undefined)
  nonsense.end('GET / HTTP/1.1\r\n\r\n')
  await new Promise<void>(resolve => nonsense.on('close', () => resolve()))
  t.equal((await get(port)).status, 200)
})

const basic = (user: string, password: string) => ({
  headers: {
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  },
})

t.test('requires a password when users are configured', async t => {
  const users = new Map([
    ['alice', hashSync('wonder:land', 4)],
    ['bob', hashSync('büro', 4).replace('$2b$', '$2y$')],
  ])
  const { port, change } = await start(t, { ...open, users })
  const status = async (options: RequestOptions = {}) =>
    (await get(port, { isPlain: true, ...options })).status
  const refused = await get(port, { isPlain: true })
  t.equal(refused.status, 401)
  t.match(refused.headers['www-authenticate'], /^Basic realm=/)
  t.equal(refused.body, 'unauthorized\n')
  t.equal(await status(basic('alice', 'wonder:land')), 200)
  t.equal(await status(basic('alice', 'wonder:land')), 200, 'again, from memory')
  t.equal(await status(basic('bob', 'büro')), 200)
  for (const [user, password] of [
    ['alice', 'wonderland'],
    ['alice', ''],
    ['alice', 'büro'],
    ['unknown', 'wonder:land'],
    ['', ''],
  ] as const)
    t.equal(await status(basic(user, password)), 401, `${user}:${password}`)
  for (const authorization of ['Basic', 'Basic !', 'Basic YWJj', 'Bearer abc', 'basic '])
    t.equal(await status({ headers: { authorization } }), 401, authorization)
  t.equal(await status({ path: '/nowhere' }), 401, 'also for unknown paths')
  t.equal(await status({ path: '/nowhere', ...basic('bob', 'büro') }), 404)

  const act = { method: 'POST', path: '/-/act' }
  t.equal(await status(act), 401, 'being on this machine is not enough')
  t.equal(await status({ ...act, ...basic('bob', 'büro') }), 200)
  change({ ...open, users: new Map([['alice', hashSync('new', 4)]]) })
  t.equal(
    await status(basic('alice', 'wonder:land')),
    401,
    'the old password is forgotten',
  )
  t.equal(await status(basic('bob', 'büro')), 401)
  t.equal(await status(basic('alice', 'new')), 200)
})

t.test('requires a password for changes by remote clients', async t => {
  const outside = Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .find(one => one.family === 'IPv4' && !one.internal)
  const act = { isPlain: true, method: 'POST', path: '/-/act' }
  const { port, change } = await start(t, open, '0.0.0.0')
  const forwarded = { headers: { 'x-forwarded-for': '192.0.2.1' } }
  t.equal((await get(port, act)).status, 200)
  t.equal((await get(port, { ...act, ...forwarded })).status, 403, 'a proxy is not local')
  const foreign = { origin: 'http://evil.example', host: 'evil.example' }
  t.equal((await get(port, { ...act, headers: foreign })).status, 403)
  const page = { 'sec-fetch-site': 'same-origin' }
  t.equal((await get(port, { ...act, headers: page })).status, 403)
  t.equal(
    (await get(port, { isPlain: true, headers: foreign })).status,
    200,
    'reading is free',
  )
  if (!outside) return t.comment('only a loopback interface here')
  const host = outside.address
  t.equal((await get(port, { ...act, host })).status, 403)
  change({ ...open, users: new Map([['alice', hashSync('a', 4)]]) })
  t.equal((await get(port, { ...act, host })).status, 401)
  t.equal((await get(port, { ...act, host, ...basic('alice', 'a') })).status, 200)
})

t.test('configured headers override defaults', async t => {
  const headers = {
    'x-frame-options': 'sameorigin',
    'content-security-policy': '',
    'strict-transport-security': 'max-age=60',
  }
  const { port, change } = await start(t, { ...open, headers })
  const received = (await get(port, { isPlain: true })).headers
  t.equal(received['x-frame-options'], 'sameorigin')
  t.notOk('content-security-policy' in received)
  t.notOk('strict-transport-security' in received, 'HSTS has no meaning without TLS')
  t.equal(received['x-content-type-options'], 'nosniff')
  change({ ...open, headers, tls: tlsOf() })
  t.equal((await get(port)).headers['strict-transport-security'], 'max-age=60')
})

t.test('limits the request rate', async t => {
  const rateLimit = { intervalMs: 3_600_000, burst: 2 }
  const { port, change } = await start(t, { ...open, rateLimit })
  const statuses = []
  for (let i = 0; i < 3; i++) statuses.push((await get(port, { isPlain: true })).status)
  t.same(statuses, [200, 200, 429])
  change({ ...open, rateLimit: { intervalMs: 1, burst: 1 } })
  t.equal((await get(port, { isPlain: true })).status, 200)
})
