import assert from 'node:assert/strict'
import { PassThrough, Readable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { sanitize } from '../../../src/text/sanitize.ts'
import { UnexpectedEofError, ProtocolError } from '../../../src/nix/protocol/errors.ts'
import { createWireReader, type WireLimits } from '../../../src/nix/protocol/wire.ts'
import { concat, list, map, text, word } from '../../../src/nix/protocol/wire-writer.ts'
import { fakeRemote, hex, never } from './fake-remote.ts'

const reader = (bytes: Uint8Array, limits: Partial<WireLimits> = {}, piece?: number) =>
  createWireReader(fakeRemote(bytes, piece === undefined ? {} : { piece }).stdout, {
    signal: never,
    limits,
  })

t.test('encodes primitive values', async t => {
  const r = reader(
    hex('6378696e00000000', '0600000000000000', '322e33342e380000', '0100000000000000'),
  )
  t.equal(await r.word('magic'), 0x6e697863n)
  t.equal(await r.text('version'), '2.34.8')
  t.equal(await r.bool('flag'), true)
  t.equal(r.offset, 32)
  await t.rejects(r.word('more'), { name: 'UnexpectedEofError', offset: 32 })
  t.same(
    map({ b: '2', a: '1' }),
    list([concat(text('a'), text('1')), concat(text('b'), text('2'))]),
  )
})

t.test('round-trips independent of chunk borders', async () => {
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.string({ unit: 'binary' }),
    fc.array(fc.string({ unit: 'grapheme' })),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(value),
      fc.integer({ min: 1, max: 40 }),
      async (values, piece) => {
        const encode = (v: bigint | string | string[]): Buffer =>
          typeof v === 'bigint'
            ? word(v)
            : typeof v === 'string'
              ? text(v)
              : list(v.map(text))
        const bytes = concat(...values.map(encode))
        const r = reader(bytes, {}, piece)
        for (const v of values)
          if (typeof v === 'bigint') assert.equal(await r.word('w'), v)
          else if (typeof v === 'string') assert.equal(await r.text('s'), v)
          else assert.deepEqual(await r.list('l', () => r.text('i')), v)
        assert.equal(r.offset, bytes.length)
      },
    ),
    { numRuns: 60 },
  )
})

t.test('protocol errors name the offset of the value', async t => {
  const at = async (
    bytes: Buffer,
    offset: number,
    what: RegExp,
    limits?: Partial<WireLimits>,
  ) => {
    const r = reader(concat(word(7), bytes), limits)
    await r.word('first')
    const error: unknown = await r
      .list('items', () => r.text('item'))
      .then(
        () => null,
        (e: unknown) => e,
      )
    t.ok(error instanceof ProtocolError, what.source)
    if (error instanceof ProtocolError) {
      t.equal(error.offset, offset)
      t.match(error.what, what)
      t.match(error.message, `at byte ${offset}`)
    }
  }
  await at(word(2n ** 60n), 8, /count of items of 1152921504606846976 is too large/)
  await at(word(1001), 8, /count of items/)
  await at(concat(word(1), word(2n ** 60n)), 16, /length of item/)
  await at(concat(word(1), word(64 * 1024 + 1)), 16, /length of item/)
  await at(concat(word(1), word(3), hex('6162630000000001')), 16, /padding of item/)
  await at(concat(word(1), text('x'.repeat(100))), 16, /more than 60 bytes/, {
    totalBytes: 60,
  })
})

t.test('checks ranges of numbers and flags', async t => {
  t.equal(await reader(word(0xffff_ffff)).number('n'), 0xffff_ffff)
  await t.rejects(reader(word(0x1_0000_0000)).number('n'), /n of 4294967296 is too large/)
  await t.rejects(reader(word(2)).bool('flag'), /flag of 2 is too large/)
})

t.test('the end-of-stream error contains the received bytes', async t => {
  const r = reader(Buffer.from('\u001b[31mno'))
  await t.rejects(r.word('magic'), {
    name: 'UnexpectedEofError',
    offset: 7,
    received: 'no',
  })
  const broken = new Readable({ read: () => undefined })
  const reading = createWireReader(broken, { signal: never }).word('magic')
  broken.destroy(new Error('reset by peer'))
  const error: unknown = await reading.catch((e: unknown) => e)
  t.ok(
    error instanceof UnexpectedEofError &&
      (error.cause as Error).message === 'reset by peer',
  )
  await t.rejects(
    createWireReader(broken, { signal: never }).word('magic'),
    UnexpectedEofError,
  )
  const lost = new Readable({ read: () => undefined })
  const waiting = createWireReader(lost, { signal: never }).word('magic')
  lost.destroy()
  await t.rejects(waiting, UnexpectedEofError)
})

t.test('quotes up to 200 bytes of other output and closes the write side', async t => {
  let left = 0
  const leave = () => left++
  const message = 'This account is currently not available.\r\n'
  const remote = fakeRemote(Buffer.from(message.slice(0, 8)), { stays: true })
  const late = () => {
    leave()
    setImmediate(() => remote.stdout.end(message.slice(8)))
  }
  const r = createWireReader(remote.stdout, { signal: never })
  await t.rejects(r.magic(1n, 'the protocol', late), {
    name: 'ProtocolError',
    what: 'not the protocol',
    offset: 0,
    received: message.trim(),
  })
  t.equal(left, 1)
  const loud: unknown = await reader(Buffer.from('x'.repeat(5000)), {}, 50)
    .magic(1n, 'the protocol', leave)
    .catch((e: unknown) => e)
  t.equal(loud instanceof ProtocolError && loud.received.length, 200)
})

t.test('quotes other output at the deadline', async t => {
  const deadline = new AbortController()
  const remote = fakeRemote(Buffer.from('Welcome to b1!'), { stays: true })
  const r = createWireReader(remote.stdout, { signal: deadline.signal })
  const reading = r.magic(1n, 'the protocol', () => deadline.abort(new Error('late')))
  await t.rejects(reading, { name: 'ProtocolError', received: 'Welcome to b1!' })
})

t.test('an abort rejects a read with its reason and removes its listeners', async t => {
  const deadline = new AbortController()
  let listeners = 0
  const { signal } = deadline
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>) => (
    listeners++,
    add(...args)
  )
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (
    listeners--,
    remove(...args)
  )
  const stream = new PassThrough()
  const r = createWireReader(stream, { signal })
  const first = r.word('first')
  setImmediate(() => stream.write(word(5)))
  t.equal(await first, 5n)
  t.equal(listeners, 0)
  const second = r.word('second')
  t.equal(listeners, 1)
  deadline.abort(new Error('deadline'))
  await t.rejects(second, /^deadline$/)
  t.equal(listeners, 0)
  await t.rejects(r.word('third'), /^deadline$/)
})

t.test('stops reading an endless remote at the limit', async t => {
  let sent = 0
  const flood = new Readable({
    highWaterMark: 64 * 1024,
    read() {
      sent += 16 * 1024
      this.push(Buffer.alloc(16 * 1024, 0))
    },
  })
  const r = createWireReader(flood, {
    signal: never,
    limits: { totalBytes: 1024 * 1024 },
  })
  const forever = async () => {
    for (;;) await r.word('zero')
  }
  await t.rejects(forever(), {
    name: 'ProtocolError',
    what: 'more than 1048576 bytes',
    offset: 1024 * 1024,
  })
  t.ok(sent < 1.3 * 1024 * 1024, `${sent} bytes were taken from the remote`)
})

t.test('random bytes cause one of the two errors', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async bytes => {
      const r = reader(bytes)
      const all = async () => {
        for (;;) await r.list('list', () => r.text('item'))
      }
      const error: unknown = await all().catch((e: unknown) => e)
      return error instanceof ProtocolError || error instanceof UnexpectedEofError
    }),
  )
})

t.test('sanitizes remote text', async t => {
  const escape = String.fromCharCode(27)
  t.equal(sanitize(`${escape}[35;1m'x'${escape}[0m is\r\nbad\u0007`), "'x' is\nbad")
  t.equal(sanitize(`${escape}]0;title\u0007a${escape}]8;;http://x${escape}\\b`), 'ab')
  t.equal(sanitize('a\u202eb\u200bc\u2028d\ufeff'), 'abcd')
  t.equal(sanitize(Buffer.from([0x61, 0xff])), 'a\ufffd')
  t.equal(sanitize('ab\u{1f600}', 3), 'ab')
  const started = performance.now()
  sanitize(`${escape}[`.repeat(100_000) + `${escape}]`.repeat(100_000))
  t.ok(performance.now() - started < 15_000, 'in linear time')
})
