/** Changes of listen addresses during requests, and unix sockets. */
import { Agent, request, type IncomingMessage } from 'node:http'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Listen } from '../../../src/exporters/http/bind.ts'
import type { Route } from '../../../src/exporters/http/route.ts'
import { describeListenError } from '../../../src/exporters/http/listen-error.ts'
import { listenAll } from '../../../src/exporters/http/listen.ts'
import { createRequestHandler } from '../../../src/exporters/http/request-handler.ts'
import { silentLog } from '../../../src/log/log.ts'
import { freePort } from '../../support/free-port.ts'

const type = 'text/plain; charset=utf-8'

/** A site whose slow route answers when the test calls a function of `waiting`. */
const siteOf = (limits: Parameters<typeof createRequestHandler>[0]['limits'] = {}) => {
  const waiting: (() => void)[] = []
  const routes: readonly Route[] = [
    { method: 'GET', path: '/', handle: () => ({ status: 200, type, body: 'here' }) },
    {
      method: 'GET',
      path: '/slow',
      handle: async () => {
        await new Promise<void>(resolve => waiting.push(resolve))
        return { status: 200, type, body: 'at last' }
      },
    },
    {
      method: 'POST',
      path: '/act',
      handle: ({ isLocal }) => ({ status: isLocal ? 200 : 403, type, body: '' }),
    },
  ]
  return { waiting, site: createRequestHandler({ routes, log: silentLog, limits }) }
}

interface Got {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
  /** The client's port: the same one for the same connection. */
  readonly from: number | undefined
}

const get = (
  where:
    { readonly port: number; readonly host?: string } | { readonly socketPath: string },
  options: { path?: string; method?: string; agent?: Agent } = {},
) =>
  new Promise<Got>((resolve, reject) => {
    const agent = new Agent({ keepAlive: true })
    request({ host: '127.0.0.1', agent, ...where, ...options }, answer => {
      let body = ''
      const { statusCode: status = 0, headers } = answer
      const from = answer.socket.localPort
      answer.setEncoding('utf8').on('data', (text: string) => (body += text))
      answer.on('error', reject)
      answer.on('end', () => {
        if (!options.agent) agent.destroy()
        resolve({ status, body, headers, from })
      })
    })
      .on('error', reject)
      .end()
  })

const occupy = (port: number) =>
  new Promise<Server>((resolve, reject) => {
    const server = createServer(socket => socket.destroy())
    server.on('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })

const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise(resolve => setTimeout(resolve, 5))
}

const start = async (
  t: Test,
  addresses: readonly Listen[],
  limits: Parameters<typeof siteOf>[0] = {},
) => {
  const { site, waiting } = siteOf(limits)
  const listeners = await listenAll(addresses, null, site)
  t.teardown(() => listeners.close())
  return { listeners, waiting }
}
const at = (port: number, host = '127.0.0.1'): Listen => ({ host, port })

const scratch = async (t: Test): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'builder-monitor-listen-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

t.test('keeps connections of unchanged addresses and drains removed ones', async t => {
  const [stays, goes, comes] = [await freePort(), await freePort(), await freePort()]
  const { listeners, waiting } = await start(t, [at(stays), at(goes)])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const before = await get({ port: stays }, { agent })
  t.equal(before.status, 200)
  const slow = [
    get({ port: stays }, { path: '/slow' }),
    get({ port: goes }, { path: '/slow' }),
  ]
  await until(() => waiting.length === 2)

  await listeners.rebind([at(stays), at(comes)])
  t.same(listeners.addresses(), [`127.0.0.1:${stays}`, `127.0.0.1:${comes}`])
  t.equal((await get({ port: comes })).status, 200)
  await t.rejects(get({ port: goes }), { code: 'ECONNREFUSED' })
  for (const answer of waiting) answer()
  const [first, second] = await Promise.all(slow)
  t.match(first, { status: 200, body: 'at last' })
  t.match(second, { status: 200, body: 'at last', headers: { connection: 'close' } })
  const after = await get({ port: stays }, { agent })
  t.same([after.status, after.from], [200, before.from], 'the connection is the same')
})

t.test('closes connections that do not finish in time', async t => {
  const port = await freePort()
  const { listeners, waiting } = await start(t, [at(port)], { closeMs: 200 })
  const slow = get({ port }, { path: '/slow' })
  await until(() => waiting.length === 1)
  await listeners.rebind([at(await freePort())])
  await t.rejects(slow, { code: 'ECONNRESET' })
})

t.test('keeps the previous addresses when a new one cannot be bound', async t => {
  const [old, free] = [await freePort(), await freePort()]
  const occupied = await occupy(0)
  t.teardown(() => occupied.close())
  const { port } = occupied.address() as AddressInfo
  const { listeners, waiting } = await start(t, [at(old)])
  const slow = get({ port: old }, { path: '/slow' })
  await until(() => waiting.length === 1)
  const failed = await listeners
    .rebind([at(free), at(port)])
    .catch((error: unknown) => error)
  t.match(
    describeListenError(failed),
    `cannot listen on 127.0.0.1:${port}: the address is in use`,
  )
  t.same(listeners.addresses(), [`127.0.0.1:${old}`])
  await t.rejects(get({ port: free }), { code: 'ECONNREFUSED' })
  waiting[0]!()
  t.match(await slow, { status: 200, headers: { connection: 'keep-alive' } })
  await listeners.rebind([at(free)])
  t.equal((await get({ port: free })).status, 200, 'the next valid change applies')
})

t.test('moves a port from one address to all addresses and back', async t => {
  const port = await freePort()
  const { listeners, waiting } = await start(t, [at(port)])
  const slow = get({ port }, { path: '/slow' })
  await until(() => waiting.length === 1)
  await listeners.rebind([at(port, '0.0.0.0')])
  t.same(listeners.addresses(), [`0.0.0.0:${port}`])
  t.equal((await get({ port, host: '127.0.0.2' })).status, 200)
  waiting[0]!()
  t.match(await slow, { status: 200 })
  const occupied = await occupy(0)
  t.teardown(() => occupied.close())
  const other = (occupied.address() as AddressInfo).port
  await t.rejects(listeners.rebind([at(port), at(other)]), { code: 'EADDRINUSE' })
  t.same(listeners.addresses(), [`0.0.0.0:${port}`])
  t.equal(
    (await get({ port, host: '127.0.0.2' })).status,
    200,
    'the previous address listens again',
  )
  await listeners.rebind([at(port)])
  t.equal((await get({ port })).status, 200)
  await t.rejects(get({ port, host: '127.0.0.2' }), { code: 'ECONNREFUSED' })
})

t.test('listens on a unix socket', async t => {
  const directory = await scratch(t)
  const path = join(directory, 'web.sock')
  const { listeners } = await start(t, [{ path }])
  t.same(listeners.addresses(), [path])
  t.equal((await stat(path)).mode & 0o777, 0o660)
  t.match(await get({ socketPath: path }), { status: 200, body: 'here' })
  t.equal(
    (await get({ socketPath: path }, { method: 'POST', path: '/act' })).status,
    403,
    'a proxy may use it',
  )
  const again = await listenAll([{ path }], null, siteOf().site).catch((e: unknown) => e)
  t.equal(
    describeListenError(again),
    `cannot listen on ${path}: the socket is in use (is builder-monitor already running?)`,
  )
  t.equal((await get({ socketPath: path })).status, 200, 'the used socket still works')
  const next = join(directory, 'next.sock')
  await listeners.rebind([{ path: next }])
  await t.rejects(stat(path), { code: 'ENOENT' })
  await listeners.rebind([{ path }])
  t.equal((await get({ socketPath: path })).status, 200)
  await listeners.close()
  await t.rejects(stat(path), { code: 'ENOENT' })
})

t.test('replaces a stale unix socket and keeps other files', async t => {
  const directory = await scratch(t)
  const path = join(directory, 'web.sock')
  const killed = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', killed])
  t.ok((await stat(path)).isSocket(), 'left by a killed process')
  const { listeners } = await start(t, [{ path }])
  t.equal((await get({ socketPath: path })).status, 200)
  const faultAt = async (path: string) =>
    describeListenError(
      await listeners.rebind([{ path }]).catch((error: unknown) => error),
    )
  const file = join(directory, 'file')
  await writeFile(file, 'precious')
  t.equal(
    await faultAt(file),
    `cannot listen on ${file}: the path is a file that is not a socket; remove it or use another path`,
  )
  t.equal((await stat(file)).size, 8)
  t.match(await faultAt(join(directory, 'no', 'web.sock')), /directory must exist/)
  t.match(await faultAt('/proc/web.sock'), /^cannot listen on \/proc\/web\.sock: /)
  t.same(listeners.addresses(), [path])
})

t.test('describes other listen errors', async t => {
  const faultAt = async (listen: Listen) =>
    describeListenError(
      await listenAll([listen], null, siteOf().site).catch((e: unknown) => e),
    )
  t.match(
    await faultAt(at(0, '192.0.2.1')),
    /the address does not belong to this machine/,
  )
  t.match(await faultAt(at(0, 'nowhere.invalid')), /nowhere\.invalid: unknown host name/)
  t.equal(describeListenError(new Error('other')), null)
})
