/** One request to a binary cache, with real sockets. */
import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import t from 'tap'
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
