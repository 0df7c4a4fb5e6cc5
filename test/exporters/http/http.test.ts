/** The HTTP server and the API: rejected requests, limits, and error details. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { request } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { apiExporter } from '../../../src/exporters/api/builders.ts'
import type { Exporter } from '../../../src/exporters/exporter.ts'
import type { HttpRequest } from '../../../src/exporters/http/route.ts'
import { startHttpServer } from '../../../src/exporters/http/http-server.ts'
import type { Limits } from '../../../src/exporters/http/limits.ts'
import { createRequestHandler } from '../../../src/exporters/http/request-handler.ts'
import { silentLog } from '../../../src/log/log.ts'
import { builderOf, serve, snapshotOf, stateOf, viewOf } from '../fixture.ts'

const text = 'text/plain; charset=utf-8'
const hugeBytes = 64 * 1024 * 1024
const large = Buffer.alloc(16 * 1024 * 1024, 'x')
let largeRequests = 0
let newest: HttpRequest | null = null
const sample: Exporter = {
  name: 'sample',
  routes: () => [
    {
      method: 'GET',
      path: '/big',
      handle: () => ({ status: 200, type: text, body: 'long '.repeat(5000) }),
    },
    {
      method: 'GET',
      path: '/small',
      handle: () => ({ status: 200, type: text, body: 'small' }),
    },
    {
      method: 'GET',
      path: '/tree/',
      handle: ({ path }) => ({ status: 200, type: text, body: path }),
    },
    {
      method: 'POST',
      path: '/-/act',
      handle: incoming => {
        newest = incoming
        return { status: incoming.isLocal ? 200 : 403, type: text, body: 'done' }
      },
    },
    {
      method: 'GET',
      path: '/huge',
      handle: () => ({ status: 200, type: text, body: Buffer.alloc(hugeBytes, 'x') }),
    },
    {
      method: 'GET',
      path: '/large',
      handle: () => {
        largeRequests++
        return { status: 200, type: text, body: large }
      },
    },
    {
      method: 'GET',
      path: '/broken',
      handle: () => {
        throw new Error('the secret inside')
      },
    },
    {
      method: 'GET',
      path: '/stream',
      handle: () => ({
        stream: response => {
          response.writeHead(200, { 'content-type': 'text/event-stream' })
          response.write('data: 1\n\n')
        },
      }),
    },
  ],
}

const start = async (t: Test) => {
  const server = await serve(
    viewOf(snapshotOf([stateOf(builderOf('a'))])),
    apiExporter,
    sample,
  )
  t.teardown(() => server.close())
  return server
}

/** Sends bytes and returns the response. */
const send = (url: string, bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => (answer += chunk))
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
    socket.write(bytes)
  })

t.test('rejects unknown paths and methods', async t => {
  const { get, url } = await start(t)
  t.equal((await get('/nowhere')).status, 404)
  t.equal((await get('/small/')).status, 404, 'a trailing slash is another path')
  t.equal((await get('/-/act')).status, 405)
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    t.equal((await fetch(`${url}/small`, { method })).status, 405, method)
  t.equal((await get('/tree/a%2Fb%20c?x=1')).body, '/tree/a/b c')
})

t.test('rejects invalid and too large requests', async t => {
  const { get, url } = await start(t)
  t.equal((await get(`/small?${'a'.repeat(2040)}`)).status, 200)
  t.equal((await get(`/small?${'a'.repeat(2048)}`)).status, 414)
  t.equal((await get('/%zz')).status, 400)
  t.equal((await get('/small', { 'x-long': 'a'.repeat(17_000) })).status, 431)
  const many = Array.from({ length: 3000 }, (_, i) => `X-H${i}: 1`).join('\r\n')
  t.match(
    await send(url, `GET /small HTTP/1.1\r\nHost: x\r\n${many}\r\n\r\n`),
    /^HTTP\/1\.1 431 /,
  )
  t.match(await send(url, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(
    await send(
      url,
      'GET http://else.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
    ),
    /^HTTP\/1\.1 400 /,
    'no proxy',
  )
  t.equal((await get('/small')).status, 200, 'continues to serve')
})

t.test('answers HEAD with the headers of GET and no body', async t => {
  const { url, get } = await start(t)
  const head = await fetch(`${url}/small`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.headers.get('content-length'), '5')
  t.equal(await head.text(), '')
  const stream = await fetch(`${url}/stream`, { method: 'HEAD' })
  t.equal(await stream.text(), '', 'HEAD does not start the stream')
  const { headers } = await get('/small')
  t.equal(headers.get('x-content-type-options'), 'nosniff')
  t.equal(headers.get('x-frame-options'), 'DENY')
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(headers.get('content-security-policy'), "default-src 'none'")
  t.notOk(headers.has('x-powered-by'))
})

t.test('compresses large responses for clients that accept gzip', async t => {
  const { url } = await start(t)
  const raw = (path: string, encoding: string) =>
    new Promise<{ encoding: string | undefined; vary: string | undefined; body: Buffer }>(
      (resolve, reject) => {
        const wanted = { headers: { 'accept-encoding': encoding } }
        request(`${url}${path}`, wanted, response => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({
              encoding: response.headers['content-encoding'],
              vary: response.headers.vary,
              body: Buffer.concat(chunks),
            }),
          )
        })
          .on('error', reject)
          .end()
      },
    )
  const packed = await raw('/big', 'deflate, gzip')
  t.equal(packed.encoding, 'gzip')
  t.match(packed.vary, /accept-encoding/)
  t.equal(gunzipSync(packed.body).toString(), 'long '.repeat(5000))
  t.ok(packed.body.length < 1000)
  t.equal((await raw('/big', 'identity')).encoding, undefined)
  t.equal((await raw('/small', 'gzip')).encoding, undefined)
})

t.test('hides details of internal errors', async t => {
  const { get } = await start(t)
  const { status, body } = await get('/broken')
  t.equal(status, 500)
  t.equal(body, 'internal error\n')
})

t.test('routes see whether the client is local', async t => {
  const { url } = await start(t)
  t.equal((await fetch(`${url}/-/act`, { method: 'POST' })).status, 200)
  t.equal(newest?.isLocal, true)
  const address = (await import('node:os')).networkInterfaces()
  const outside = Object.values(address)
    .flatMap(list => list ?? [])
    .find(one => one.family === 'IPv4' && !one.internal)
  if (!outside) return t.comment('only a loopback interface here')
  const listen = { host: '0.0.0.0', port: 0 }
  const routes = sample.routes!(viewOf(snapshotOf([])))
  const server = await startHttpServer(
    listen,
    createRequestHandler({ routes, log: silentLog }),
  )
  t.teardown(() => server.close())
  const port = server.address.split(':').at(-1)
  const answer = await fetch(`http://${outside.address}:${port}/-/act`, {
    method: 'POST',
  })
  t.equal(answer.status, 403)
  t.equal(newest?.isLocal, false)
})

t.test(
  'the control socket belongs to its group, is local, and is removed on close',
  async t => {
    const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-http-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const path = join(directory, 'control.sock')
    const routes = sample.routes!(viewOf(snapshotOf([])))
    const site = createRequestHandler({ routes, log: silentLog })
    const server = await startHttpServer({ path }, site, 'control')
    t.equal((await stat(path)).mode & 0o777, 0o660)
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const options = { socketPath: path, path: '/-/act', method: 'POST' }
      request(options, response => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
    t.equal(status, 200)
    t.equal(newest?.isLocal, true)
    await server.close()
    await t.rejects(stat(path))
  },
)

t.test('closing ends streams and clients that never finish', async t => {
  const server = await serve(viewOf(snapshotOf([])), sample)
  const slow = send(server.url, 'GET /small HTTP/1.1\r\nHost: x\r\nX-Slow: ')
  const response = await fetch(`${server.url}/stream`)
  const reader = response.body!.getReader()
  const first = await reader.read()
  t.equal(Buffer.from(first.value as Uint8Array).toString(), 'data: 1\n\n')
  const from = Date.now()
  await server.close()
  t.ok(Date.now() - from < 5000, 'waits for neither')
  t.equal(await slow.catch(() => ''), '')
  await t.rejects(reader.read())
})

t.test('disconnects a client that sends headers too slowly', async t => {
  const { url, get } = await start(t)
  const from = Date.now()
  const slow = send(url, 'GET /small HTTP/1.1\r\nHost: x\r\n')
  t.equal((await get('/small')).status, 200, 'other clients are served')
  t.match(await slow, /^HTTP\/1\.1 408 /)
  const seconds = (Date.now() - from) / 1000
  t.ok(seconds > 4 && seconds < 20, `after ${seconds} s`)
})

/** A server with tighter limits than the real ones. */
const startWith = async (t: Test, limits: Partial<Limits>) => {
  const routes = sample.routes!(viewOf(snapshotOf([])))
  const site = createRequestHandler({ routes, log: silentLog, limits })
  const server = await startHttpServer({ host: '127.0.0.1', port: 0 }, site)
  t.teardown(() => server.close())
  return `http://${server.address}`
}

t.test('discards or rejects request bodies', async t => {
  const { url, get } = await start(t)
  const small = await fetch(`${url}/-/act`, { method: 'POST', body: 'a'.repeat(1000) })
  t.equal(small.status, 200, 'a small body is discarded')
  const head = 'POST /-/act HTTP/1.1\r\nHost: x\r\n'
  const declared = await send(url, `${head}Content-Length: 1000000\r\n\r\n`)
  t.match(declared, /^HTTP\/1\.1 413 /)
  t.match(declared, /connection: close/i)
  const from = Date.now()
  const chunk = `10000\r\n${'a'.repeat(0x10000)}\r\n`
  const endless = await send(
    url,
    `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(8)}`,
  ).catch(() => 'reset')
  t.match(endless, /^(?:reset|HTTP\/1\.1 200 |$)/, 'the connection closes')
  t.ok(Date.now() - from < 8000, 'at once')
  t.equal((await get('/small')).status, 200)
})

t.test('rejects too many headers', async t => {
  const { url } = await start(t)
  const sendHeaders = (count: number) => {
    const headers = Array.from({ length: count }, (_, i) => `a${i}: 1\r\n`).join('')
    return send(
      url,
      `GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`,
    )
  }
  t.match(await sendHeaders(98), /^HTTP\/1\.1 200 /)
  t.match(await sendHeaders(99), /^HTTP\/1\.1 431 /)
})

t.test('closes the oldest idle connection above the limit', async t => {
  const url = await startWith(t, { connections: 2 })
  const { hostname, port } = new URL(url)
  const idle = [1, 2].map(() => connect(Number(port), hostname))
  t.teardown(() => idle.forEach(socket => socket.destroy()))
  await Promise.all(idle.map(socket => once(socket, 'connect')))
  idle.forEach(socket => socket.resume())
  const closed = once(idle[0]!, 'close')
  t.equal((await fetch(`${url}/small`)).status, 200)
  await closed
  t.equal(idle[1]!.closed, false)
})

t.test('rejects connections above the limit while none is idle', async t => {
  const url = await startWith(t, { connections: 2 })
  const readers = await Promise.all(
    [1, 2].map(async () => (await fetch(`${url}/stream`)).body!.getReader()),
  )
  t.equal(await send(url, 'GET /small HTTP/1.1\r\nHost: x\r\n\r\n').catch(() => ''), '')
  await readers[0]!.cancel()
  for (;;) {
    const answer = await fetch(`${url}/small`).catch(() => null)
    if (answer?.status === 200) break
  }
  t.pass('serves again after a stream has ended')
  await readers[1]!.cancel()
})

t.test('limits event streams, of one client and of all', async t => {
  const url = await startWith(t, { streams: 3, streamsPerClient: 2 })
  const open = async () => {
    const response = await fetch(`${url}/stream`)
    t.teardown(() => response.body?.cancel().catch(() => undefined))
    return response
  }
  const first = await open()
  t.equal(first.status, 200)
  t.equal((await open()).status, 200)
  const third = await open()
  t.equal(third.status, 503)
  t.equal(third.headers.get('retry-after'), '15')
  t.equal((await fetch(`${url}/small`)).status, 200)
  await first.body!.cancel()
  for (;;) if ((await open()).status === 200) break
  t.pass('a place that becomes free is used again')
})

t.test('a scrape succeeds during 2,000 slow and 300 unread connections', async t => {
  const url = await startWith(t, {})
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  const open = (request: string) => {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined).on('connect', () => socket.write(request))
    socket.pause()
    sockets.push(socket)
    return socket
  }
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  const scrape = async (localAddress: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const options = { hostname, port, localAddress, path: '/small', agent: false }
      request(options, response => {
        response.resume()
        resolve(response.statusCode)
      })
        .on('error', reject)
        .end()
    })
  // Larger than the kernel's buffers of both sides, so that the responses stay
  for (let i = 0; i < 300; i++) open('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
  while (largeRequests < 192) await new Promise(resolve => setTimeout(resolve, 10))
  t.equal(await scrape('127.0.0.2'), 200, 'from another address')
  t.equal(await scrape('127.0.0.1'), 200, 'from the same address')
  for (let i = 0; i < 2000; i++) {
    open('GET /small HTTP/1.1\r\nHost: x\r\n')
    if (i % 100 > 0) continue
    // In the midst of it
    await new Promise(resolve => setImmediate(resolve))
    const started = performance.now()
    t.equal(await scrape('127.0.0.2'), 200, 'from another address')
    t.equal(await scrape('127.0.0.1'), 200, 'from the same address')
    t.ok(performance.now() - started < 2000, 'within 2 s')
  }
})

t.test('serves others while one client opens hundreds of connections', async t => {
  const url = await startWith(t, {})
  const { hostname, port } = new URL(url)
  const flood = Array.from({ length: 400 }, () => {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    // A request without an end
    socket.on('connect', () => socket.write('GET /small HTTP/1.1\r\nHost: x\r\n'))
    return socket
  })
  t.teardown(() => flood.forEach(socket => socket.destroy()))
  const closed = () => flood.filter(socket => socket.closed).length
  while (closed() < 400 - 192) await new Promise(resolve => setTimeout(resolve, 10))
  t.equal((await fetch(`${url}/small`)).status, 200, 'from the same address')
  t.ok(closed() < 400, 'only the oldest idle connections are closed')
})

t.test('a request in progress outlives the flood', async t => {
  const url = await startWith(t, { connectionsPerClient: 4 })
  const { hostname, port } = new URL(url)
  const busy = connect(Number(port), hostname)
  t.teardown(() => busy.destroy())
  busy.pause()
  await once(busy, 'connect')
  busy.write('GET /huge HTTP/1.1\r\nHost: x\r\n\r\n')
  t.equal((await fetch(`${url}/small`)).status, 200)
  const flood = Array.from({ length: 20 }, () =>
    connect(Number(port), hostname).on('error', () => undefined),
  )
  t.teardown(() => flood.forEach(socket => socket.destroy()))
  const closed = () => flood.filter(socket => socket.closed).length
  flood.forEach(socket => socket.resume())
  while (closed() < 15) await new Promise(resolve => setTimeout(resolve, 10))
  t.equal(busy.closed, false)
})

t.test('disconnects a client that does not read the response', async t => {
  const url = await startWith(t, { responseMs: 300 })
  const { hostname, port } = new URL(url)
  const lazy = connect(Number(port), hostname)
  lazy.pause()
  lazy.on('error', () => undefined)
  await once(lazy, 'connect')
  // More than the kernel's buffers on both sides hold
  lazy.write('GET /huge HTTP/1.1\r\nHost: x\r\n\r\n')
  // Longer than the server waits
  await new Promise(resolve => setTimeout(resolve, 1000))
  t.equal((await fetch(`${url}/small`)).status, 200)
  let bytes = 0
  lazy.on('data', (chunk: Buffer) => (bytes += chunk.length))
  lazy.resume()
  await once(lazy, 'close')
  t.ok(bytes > 0 && bytes < hugeBytes, `${bytes} bytes`)
})

t.test('serves the report, liveness and readiness', async t => {
  const snapshot = snapshotOf([stateOf(builderOf('a'))])
  const view = viewOf({ ...snapshot, monitor: { ...snapshot.monitor, ready: false } })
  const server = await serve(view, apiExporter)
  t.teardown(() => server.close())
  t.equal((await server.get('/-/healthy')).status, 200)
  t.equal((await server.get('/-/ready')).status, 503)
  view.set(snapshot)
  t.equal((await server.get('/-/ready')).status, 200)
  const { type, body } = await server.get('/api/v1/builders')
  t.equal(type, 'application/json; charset=utf-8')
  t.match(JSON.parse(body), {
    state: 'healthy',
    builders: [{ name: 'a', state: 'healthy', cause: null, verified: true }],
    client: { ready: true },
    problems: [],
  })
})
