/** One request to a binary cache, with real sockets. */
import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import t from 'tap'
import type { RunRequest } from '../../src/model/index.ts'
import { createAskSshSubstituter } from '../../src/transport/ask-ssh-substituter.ts'
import { askSubstituter } from '../../src/transport/ask-substituter.ts'

const listen = async (server: Server) => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return new URL(`http://u:secret@127.0.0.1:${port}/cache/`)
}
const never = new AbortController().signal

t.test('any response is an answer, and no credentials are sent', async t => {
  const requests: unknown[] = []
  const server = createHttpServer((request, response) => {
    requests.push([request.url, request.headers.authorization])
    response.writeHead(404).end()
  })
  t.teardown(() => server.close())
  const url = await listen(server)
  t.same(await askSubstituter(url, 5000, never), { status: 'answers' })
  t.same(requests, [['/cache/nix-cache-info', undefined]])
})

t.test('a cache that accepts and says nothing hangs', async t => {
  const server = createServer(socket => t.teardown(() => socket.destroy()))
  t.teardown(() => server.close())
  t.same(await askSubstituter(await listen(server), 100, never), {
    status: 'hangs',
    isConnected: true,
  })
})

t.test('a closed port fails at once', async t => {
  const server = createServer()
  const url = await listen(server)
  await new Promise(resolve => server.close(resolve))
  t.match(await askSubstituter(url, 5000, never), {
    status: 'fails',
    code: 'ECONNREFUSED',
  })
})

t.test('something that speaks no HTTP answers', async t => {
  const server = createServer(socket =>
    socket.on('error', () => undefined).end('hello\n'),
  )
  t.teardown(() => server.close())
  t.same(await askSubstituter(await listen(server), 5000, never), { status: 'answers' })
})

t.test('a substituter over ssh is asked for a connection, without a login', async t => {
  const texts: string[] = []
  const server = createServer(socket => {
    socket.on('data', data => texts.push(String(data)))
    socket.on('error', () => undefined)
  })
  t.teardown(() => server.close())
  const { port } = await listen(server)
  const printed = (hostname: string, at: number | string, more = '') =>
    `hostname ${hostname}\nport ${at}\n${more}`
  const ask = (config: string, href = 'ssh-ng://u@cache?compress=true') => {
    const requests: RunRequest[] = []
    const askSsh = createAskSshSubstituter({
      run: async request => {
        requests.push(request)
        return {
          ...{ code: 0, signal: null, stdout: config, stderr: '' },
          ...{ truncated: false, spawnError: null, aborted: false },
        }
      },
      env: {},
      nix: () => ({ version: '2.34.0', system: 'x86_64-linux' }),
    })
    return { answer: askSsh(new URL(href), 2000, never), requests }
  }
  const { answer, requests } = ask(printed('127.0.0.1', port))
  t.same(await answer, { status: 'answers' })
  t.equal(requests[0]?.args[1], 'u@cache')
  t.same(texts, [])
  t.match(await ask(printed('127.0.0.1', 1)).answer, {
    status: 'fails',
    code: 'ECONNREFUSED',
  })
  const behind = printed('127.0.0.1', 1, 'proxyjump jump\n')
  t.same(await ask(behind).answer, { status: 'answers' }, 'behind a jump host')
})
