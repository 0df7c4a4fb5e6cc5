/** The commands against a recorded control socket. */
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { drainCommand, undrainCommand } from '../../src/cli/drain.ts'
import { scratch } from './support.ts'

const create = async (t: Test, status = 200) => {
  const socket = join(await scratch(t), 'control.sock')
  const requests: URLSearchParams[] = []
  let printed = ''
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://x')
    if (pathname === '/api/v1/builders')
      return void response.end(
        JSON.stringify({
          builders: [{ name: 'b1', hold: { held: 0, running: 0, total: 0 } }],
        }),
      )
    requests.push(searchParams)
    response.statusCode = status
    response.end(status === 200 ? JSON.stringify({ names: ['b1'], warning: null }) : '')
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  t.teardown(() => server.close())
  const print = (text: string) => void (printed += text)
  const io = {
    ...{ out: print, err: print, env: {}, isTerminal: false },
    signal: new AbortController().signal,
  }
  const drain = (builders: readonly string[], reason?: string) =>
    drainCommand({ socket, builders, for: undefined, reason, wait: false }, io)
  const undrain = (builders: readonly string[]) =>
    undrainCommand({ socket, builders }, io)
  return { drain, undrain, requests, printed: () => printed }
}

t.test('a long reason is cut, and a name is sent once', async t => {
  const { drain, undrain, requests, printed } = await create(t)
  t.equal(await drain(Array<string>(5000).fill('b1'), 'x'.repeat(100_000)), 0)
  t.same(requests[0]?.getAll('name'), ['b1'])
  t.equal(requests[0]?.get('reason')?.length, 500)
  t.equal(await undrain(['b1']), 0)
  t.match(printed(), 'drain ended: b1\n')
})

t.test('too many names are an error that says so', async t => {
  const names = Array.from({ length: 10_000 }, (_, i) => `n${i}`)
  const tooMany = {
    message: 'too many builders at once, or the reason is too long; nothing was changed',
  }
  const large = await create(t)
  await t.rejects(large.drain(names), tooMany)
  t.same(large.requests, [])
  for (const status of [414, 431])
    await t.rejects((await create(t, status)).drain(['b1']), tooMany)
})
