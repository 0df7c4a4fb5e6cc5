import fc from 'fast-check'
import t from 'tap'
import { instantiate } from '../../../src/nix/protocol/derivation.ts'
import { openServe } from '../../../src/nix/protocol/serve.ts'
import { UnexpectedEofError, ProtocolError } from '../../../src/nix/protocol/errors.ts'
import { concat, list, text, word } from '../../../src/nix/protocol/wire-writer.ts'
import { fakeRemote, hex, never } from './fake-remote.ts'

const hello = hex('cbee525400000000', '0702000000000000')
const open = (bytes: Uint8Array) => {
  const remote = fakeRemote(bytes)
  return { remote, serve: openServe(remote, { signal: never }) }
}
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )
const drv = instantiate({ name: 'x', system: 's', builder: '/b', args: [], env: {} })
const limits = { maxSilentSeconds: 10, timeoutSeconds: 20, maxLogBytes: 30 }

t.test('performs the handshake with 2.7', async t => {
  const { remote, serve } = open(hello)
  t.equal((await serve).version, '2.7')
  t.same(remote.written(), hex('eb9d0c3900000000', '0702000000000000'))
  t.equal((await open(concat(word(0x5452eecb), word(0x208))).serve).version, '2.7')
  t.equal((await open(concat(word(0x5452eecb), word(0x205))).serve).version, '2.5')
  for (const version of [0x204, 0x305, 0x123])
    t.match(await caught(open(concat(word(0x5452eecb), word(version))).serve), {
      name: 'UnsupportedVersionError',
    })
})

t.test('a handshake cut at any byte is an UnexpectedEofError', async t => {
  for (let cut = 0; cut < hello.length; cut++) {
    const error = await caught(open(hello.subarray(0, cut)).serve)
    t.ok(error instanceof UnexpectedEofError && error.offset === cut, `cut at ${cut}`)
  }
})

t.test('rejects another protocol', async t => {
  const { remote, serve } = open(
    Buffer.from('This account is currently not available.\n'),
  )
  const error = await caught(serve)
  t.ok(error instanceof ProtocolError)
  t.match(error, { offset: 0, received: 'This account is currently not available.' })
  t.ok(remote.left())
})

t.test('queries valid paths', async t => {
  const { remote, serve } = open(concat(hello, list([text('/nix/store/a')])))
  t.same(await (await serve).queryValidPaths(['/nix/store/b', '/nix/store/a']), [
    '/nix/store/a',
  ])
  t.same(
    remote.written().subarray(16),
    concat(word(1), word(0), word(0), list([text('/nix/store/a'), text('/nix/store/b')])),
  )
})

t.test('a dead daemon ends the stream after the handshake', async t => {
  const serve = await open(hello).serve
  t.match(await caught(serve.queryValidPaths(['/nix/store/a'])), {
    name: 'UnexpectedEofError',
    offset: 16,
  })
})

t.test('builds with the options and the result of each version', async t => {
  const times = [1, 0, 5, 6].map(word)
  const realisations = list([concat(text('sha256:00!out'), text('{}'))])
  const built = concat(word(0), text(''), ...times, realisations)
  const { remote, serve } = open(concat(hello, built, list([])))
  const s = await serve
  t.match(await s.buildDerivation(drv, limits), { status: 'Built', isSuccess: true })
  t.same(await s.queryValidPaths(['x']), [], 'the result was read to its end')
  const options = concat(...[10, 20, 30, 0, 0, 0].map(word))
  const request = remote
    .written()
    .subarray(16, -concat(word(1), word(0), word(0), list([text('x')])).length)
  t.same(request.subarray(-options.length), options)

  const old = concat(
    word(0x5452eecb),
    word(0x205),
    word(3),
    text('exit 7'),
    ...times,
    list([]),
  )
  const older = open(old)
  const o = await older.serve
  t.match(await o.buildDerivation(drv, limits), {
    status: 'PermanentFailure',
    message: 'exit 7',
  })
  t.equal(
    older.remote.written().length,
    16 + request.length - 8,
    'no keepFailed below 2.7',
  )
  t.same(await o.queryValidPaths(['x']), [], 'no realisations below 2.6')
})

t.test('random answers cause a typed error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async bytes => {
      const serve = await open(concat(hello, Buffer.from(bytes))).serve
      const error = await caught(serve.buildDerivation(drv, limits))
      return (
        error === null ||
        (error instanceof Error && /Protocol|Eof|Version/.test(error.name))
      )
    }),
  )
})
