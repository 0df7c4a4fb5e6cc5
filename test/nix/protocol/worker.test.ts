import fc from 'fast-check'
import t from 'tap'
import { instantiate } from '../../../src/nix/protocol/derivation.ts'
import { openWorker } from '../../../src/nix/protocol/worker.ts'
import {
  NixError,
  UnexpectedEofError,
  ProtocolError,
} from '../../../src/nix/protocol/errors.ts'
import { concat, list, text, word } from '../../../src/nix/protocol/wire-writer.ts'
import { fakeRemote, greeting, hex, last, never, stderrError } from './fake-remote.ts'

const open = (bytes: Uint8Array, totalBytes?: number) => {
  const remote = fakeRemote(bytes)
  const limits = totalBytes === undefined ? {} : { totalBytes }
  return { remote, worker: openWorker(remote, { signal: never, limits }) }
}
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )

t.test('performs the handshake recorded from 2.34.8', async t => {
  const { remote, worker } = open(greeting)
  t.match(await worker, { version: '1.35', nixVersion: '2.34.8', trusted: true })
  t.same(
    remote.written(),
    hex('6378696e00000000 2301000000000000', '0000000000000000 0000000000000000'),
  )
})

t.test('reports what each version sends', async t => {
  const magic = word(0x6478696f)
  const cases = [
    [0x126, [text('2.34.8'), word(2)], '1.35', '2.34.8', false],
    // Lix 2.94 and later require 1.35; Determinate sends the version of Nix that it is based on
    [0x123, [text('2.95.3'), word(1)], '1.35', '2.95.3', true],
    [0x126, [text('2.35.2'), word(1)], '1.35', '2.35.2', true],
    [0x123, [text('2.93.3'), word(0)], '1.35', '2.93.3', null],
    // 2.3, 2.6 and 2.7
    [0x120, [], '1.32', null, null],
    [0x121, [text('2.7.0')], '1.33', '2.7.0', null],
    [0x122, [text('2.8.0')], '1.34', '2.8.0', null],
    [0x115, [], '1.21', null, null],
  ] as const
  for (const [sent, rest, version, nixVersion, trusted] of cases)
    t.match(await open(concat(magic, word(sent), ...rest, last)).worker, {
      version,
      nixVersion,
      trusted,
    })
  for (const sent of [0x113, 0x223])
    t.match(await caught(open(concat(magic, word(sent))).worker), {
      name: 'UnsupportedVersionError',
    })
  t.match(await caught(open(concat(magic, word(0x123), text('2'), word(3))).worker), {
    name: 'ProtocolError',
    what: 'trust flag of 3 is too large',
    offset: 32,
  })
})

t.test(
  'a handshake cut at any byte is an UnexpectedEofError with the offset',
  async t => {
    for (let cut = 0; cut < greeting.length; cut++) {
      const error = await caught(open(greeting.subarray(0, cut)).worker)
      t.ok(error instanceof UnexpectedEofError && error.offset === cut, `cut at ${cut}`)
    }
  },
)

t.test('one wrong bit in any byte of the frame never hangs', async t => {
  for (let at = 0; at < greeting.length; at++) {
    const bytes = Buffer.from(greeting)
    bytes[at] = (bytes[at] ?? 0) ^ 0x80
    const error = await caught(open(bytes).worker)
    t.ok(
      error === null ||
        (error instanceof Error && /Protocol|Eof|Version/.test(error.name)),
      `byte ${at}: ${String(error)}`,
    )
  }
})

t.test('quotes shell output and closes the write side', async t => {
  const noise = 'Last login: Sun Nov 22\nhave a nice day\n'
  const { remote, worker } = open(concat(Buffer.from(noise), greeting))
  const error = await caught(worker)
  t.ok(error instanceof ProtocolError)
  t.match(error, { what: 'not the worker protocol', offset: 0 })
  t.match((error as ProtocolError).received, noise.trim())
  t.ok(remote.left())
})

t.test('queries whether a path is valid', async t => {
  const { remote, worker } = open(concat(greeting, last, word(1), last, word(0)))
  const w = await worker
  t.equal(await w.isValidPath('/nix/store/x'), true)
  t.equal(await w.isValidPath('/nix/store/x'), false)
  t.same(remote.written().subarray(32, 64), concat(word(1), text('/nix/store/x')))
})

t.test('determines trust by a repair of zero paths', async t => {
  const { remote, worker } = open(concat(greeting, last, word(1), last, word(0)))
  const w = await worker
  t.equal(await w.isTrusted(), true)
  t.same(remote.written().subarray(32), concat(word(9), word(0), word(1)))
  t.equal(await w.isValidPath('x'), false, 'the reply was read to its end')
  const refusal = stderrError(
    "repairing is not allowed because you are not in 'trusted-users'",
  )
  t.equal(await (await open(concat(greeting, refusal)).worker).isTrusted(), false)
  const other = stderrError('the disk is full')
  t.match(await caught((await open(concat(greeting, other)).worker).isTrusted()), {
    name: 'NixError',
    message: 'the disk is full',
  })
})

t.test('errors keep their traces without colors', async t => {
  const escape = String.fromCharCode(27)
  const error = concat(
    word(0x63787470),
    text('Error'),
    word(0),
    text('Error'),
    text(`path ${escape}[35;1m'x'${escape}[0m is bad`),
    word(0),
    list([concat(word(0), text('while working'))]),
  )
  const failure = await caught(
    (await open(concat(greeting, error)).worker).isValidPath('x'),
  )
  t.ok(failure instanceof NixError)
  t.match(failure, { message: "path 'x' is bad", traces: ['while working'] })
})

t.test('errors of Nix 2.3 have no traces', async t => {
  const old = concat(word(0x6478696f), word(0x115), last)
  const error = concat(word(0x63787470), text('path is bad'), word(1))
  const worker = await open(concat(old, error)).worker
  t.match(await caught(worker.isValidPath('x')), {
    name: 'NixError',
    message: 'path is bad',
  })
})

const id = 2n ** 53n + 1n
const activity = concat(
  word(0x53545254),
  word(id),
  word(3),
  word(105),
  text('building x'),
  list([concat(word(1), text('/nix/store/x.drv')), concat(word(0), word(1))]),
  word(0),
)
const logLine = concat(
  word(0x52534c54),
  word(id),
  word(101),
  list([concat(word(1), text('hello'))]),
)

t.test('builds and keeps the log', async t => {
  const drv = instantiate({
    name: 'x',
    system: 's',
    builder: '/b',
    args: ['-c'],
    env: {},
  })
  const result = concat(
    word(0),
    text(''),
    ...[0, 0, 0, 0].map(word),
    list([concat(text('sha256:00!out'), text('{}'))]),
  )
  const next = concat(word(0x6f6c6d67), text('waiting for the lock\n'))
  const stop = concat(word(0x53544f50), word(id))
  const { remote, worker } = open(
    concat(greeting, next, activity, logLine, stop, last, result, last, word(1)),
  )
  const w = await worker
  t.same(await w.buildDerivation(drv), { status: 'Built', isSuccess: true, message: '' })
  t.equal(w.log(), 'waiting for the lock\nbuilding x\nhello')
  t.equal(await w.isValidPath('x'), true, 'the result was read to its end')
  t.same(
    remote.written().subarray(32, -24),
    concat(
      word(36),
      text(drv.drvPath),
      list([concat(text('out'), text(drv.outPath), text(''), text(''))]),
      list([]),
      text('s'),
      text('/b'),
      list([text('-c')]),
      list(
        ['builder', '/b', 'name', 'x', 'out', drv.outPath, 'system', 's']
          .reduce<string[][]>(
            (all, s, i) => (i % 2 ? all.at(-1)?.push(s) : all.push([s]), all),
            [],
          )
          .map(pair => concat(...pair.map(text))),
      ),
      word(0),
    ),
  )
})

t.test('a failed build is a result', async t => {
  const drv = instantiate({ name: 'x', system: 's', builder: '/b', args: [], env: {} })
  const failed = (status: number) =>
    concat(greeting, last, word(status), text('no'), ...[0, 0, 0, 0].map(word), list([]))
  for (const [status, name] of [
    [3, 'PermanentFailure'],
    [8, 'TimedOut'],
    [99, 'Unknown'],
  ] as const)
    t.same(await (await open(failed(status)).worker).buildDerivation(drv), {
      status: name,
      isSuccess: false,
      message: 'no',
    })
})

t.test('rejects unknown message tags', async t => {
  for (const tag of [0x64617461, 0x64617416, 1, 0xffff_ffff]) {
    const error = await caught(
      (await open(concat(greeting, word(tag))).worker).isValidPath('x'),
    )
    t.match(error, {
      name: 'ProtocolError',
      what: /unknown message tag/,
      offset: greeting.length,
    })
  }
  const badField = concat(word(0x52534c54), word(1), word(101), word(1), word(2))
  const error = await caught(
    (await open(concat(greeting, badField)).worker).isValidPath('x'),
  )
  t.match(error, { name: 'ProtocolError', what: /field type of 2/ })
})

t.test('keeps only the end of a long log', async t => {
  const line = (n: number) => concat(word(0x6f6c6d67), text(`${n} ${'x'.repeat(900)}`))
  const lines = concat(...Array.from({ length: 300 }, (_, n) => line(n)))
  const worker = await open(concat(greeting, lines), 200_000).worker
  t.match(await caught(worker.isValidPath('x')), {
    name: 'ProtocolError',
    what: /more than 200000/,
  })
  t.ok(worker.log().length <= 8192 && worker.log().length > 8000)
  t.match(worker.log(), /^215 x+$/m)
  t.notMatch(worker.log(), /^0 x/m)
})

t.test('random bytes after the handshake cause a typed error', async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map(bytes => Buffer.from(bytes)),
    fc.constantFrom(last, activity, logLine, stderrError('no'), word(0), word(1)),
    fc.string().map(text),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async pieces => {
      const worker = await open(concat(greeting, ...pieces)).worker
      const drv = instantiate({
        name: 'x',
        system: 's',
        builder: '/b',
        args: [],
        env: {},
      })
      const error = await caught(worker.buildDerivation(drv))
      return (
        error === null ||
        (error instanceof Error && /Protocol|Eof|Version|Nix/.test(error.name))
      )
    }),
  )
})
