/** Parsers of Nix versions, nix.conf, the JSON of `nix config show` and integers. */
import fc from 'fast-check'
import t from 'tap'
import { atLeast, dialectOf, isLix, parseNixVersion } from '../../src/nix/dialect.ts'
import { parseStatements } from '../../src/nix/nix-conf.ts'
import {
  integerSetting,
  listSetting,
  parseBoolean,
  parseInteger,
  parseJson,
  readSettings,
  stringSetting,
} from '../../src/nix/settings.ts'

t.test('parses and compares versions', async t => {
  t.equal(parseNixVersion('nix (Nix) 2.8.0\n'), '2.8.0')
  t.equal(parseNixVersion('nix (Nix) 2.34.8+1\nmore'), '2.34.8+1')
  t.equal(parseNixVersion('nix (Lix, like Nix) 2.93.3'), '2.93.3')
  t.equal(
    parseNixVersion('nix (Determinate Nix 3.6.0) 2.29.0'),
    '2.29.0',
    'not the vendor’s number',
  )
  t.equal(parseNixVersion('error: cannot open'), null)
  t.equal(atLeast('2.26.3', 2, 29), false)
  t.equal(atLeast('2.29', 2, 29), true, 'a missing patch is 0')
  t.equal(atLeast('2.100.0', 2, 29), true, 'numbers, not text')
  t.equal(atLeast('3.0', 2, 29), true)
  t.equal(atLeast('2.31.1', 2, 31, 2), false)
  t.equal(atLeast(null, 9, 9), true, 'unknown is the newest')
  t.equal(isLix('2.95.3'), true)
  t.equal(isLix('2.35.0'), false)
})

t.test('enables syntax by version', async t => {
  const with_ = (version: string | null, feature: keyof ReturnType<typeof dialectOf>) =>
    dialectOf(version)[feature]
  t.equal(with_('2.28.9', 'commentParsing'), 'legacy')
  t.equal(with_('2.29.0', 'commentParsing'), 'trimmed')
  t.equal(with_('2.94.0', 'commentParsing'), 'legacy', 'Lix')
  t.equal(with_(null, 'commentParsing'), 'trimmed')
  t.equal(with_('2.19.0', 'fractionalSpeed'), false)
  t.equal(with_('2.90.0', 'fractionalSpeed'), true, 'Lix')
  t.equal(with_('2.90.0', 'parsesUris'), false, 'Lix')
  t.same(
    ['2.30.9', '2.31.0', '2.31.1', '2.31.2', '2.32.0'].map(v => with_(v, 'bareIpv6')),
    [true, false, false, true, true],
  )
  t.same(
    ['2.30.9', '2.31.4', '2.31.5', '2.32.7', '2.32.8', '2.33.0'].map(v =>
      with_(v, 'bareZones'),
    ),
    [true, false, true, false, true, true],
  )
})

const statements = (text: string) => [...parseStatements(text)]

t.test('parses nix.conf', async t => {
  t.same(
    statements('a = b\tc   d # x\n\n# e = f\nbuilders =\r\nx = y=z'),
    [
      { kind: 'set', line: 1, name: 'a', value: 'b c d' },
      { kind: 'set', line: 4, name: 'builders', value: '' },
      { kind: 'set', line: 5, name: 'x', value: 'y=z' },
    ],
    'joins words by single spaces, has no quoting, counts every line',
  )
  t.same(
    statements('include a.conf\n!include /b # c'),
    [
      { kind: 'include', line: 1, path: 'a.conf', optional: false },
      { kind: 'include', line: 2, path: '/b', optional: true },
    ],
    'includes',
  )
  t.same(
    statements('a=b\nword\na == b\ninclude a b\ninclude').map(s => [s.kind, s.line]),
    [1, 2, 3, 4, 5].map(line => ['error', line]),
    'reports all errors, although Nix stops at the first',
  )
  const [error] = statements('max-jobs=4')
  t.equal(
    error?.kind === 'error' && error.message,
    "syntax error in 'max-jobs=4' (expected NAME = VALUE): every nix command on this machine fails until this line is fixed",
  )
})

t.test('accepts any text as nix.conf, at most one statement per line', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), text => {
      const all = statements(text)
      const lines = text.split('\n').length
      return all.length <= lines && all.every(s => s.line >= 1 && s.line <= lines)
    }),
  )
})

t.test('parses every NAME = VALUE', async () => {
  const word = fc.stringMatching(/^[a-z@:/;,.=-]{1,12}$/)
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z-]{1,9}$/), fc.array(word), (name, value) => {
      fc.pre(name !== 'include')
      const [read] = statements(`${name} = ${value.join('  ')}`)
      return read?.kind === 'set' && read.name === name && read.value === value.join(' ')
    }),
  )
})

t.test('parses integers', async t => {
  const old = dialectOf('2.22.0')
  const now = dialectOf('2.23.0')
  t.equal(parseInteger('18446744073709551615', old), 2n ** 64n - 1n)
  t.equal(parseInteger('18446744073709551616', now), null, 'too large')
  t.equal(parseInteger('1G', now), 1_073_741_824n)
  t.equal(parseInteger('2t', now), 2_199_023_255_552n)
  t.equal(parseInteger('1G', old), null, 'a suffix is an error before 2.23')
  t.equal(parseInteger('1G', dialectOf('2.93.0')), null, 'and in Lix')
  for (const text of ['', '-1', '1.5G', '1GB', '0x10', 'G', ' 1', 'auto'])
    t.equal(parseInteger(text, now), null, JSON.stringify(text))
  t.same(['true', 'yes', '1'].map(parseBoolean), [true, true, true])
  t.same(['false', 'no', '0'].map(parseBoolean), [false, false, false])
  t.equal(parseBoolean('TRUE'), null)
})

t.test('parses settings as JSON', async t => {
  const settings = readSettings(
    '{"max-free":{"value":18446744073709551615,"defaultValue":1},"min-free":{"value":5},' +
      '"builders":{"value":"@/m 12345678901234567890"},"trusted-users":{"value":["root","@wheel"]},' +
      '"sandbox":{"value":"relaxed"},"odd":3}',
  )
  if (!settings) return t.fail('is read')
  t.equal(
    integerSetting(settings, 'max-free'),
    2n ** 64n - 1n,
    'large integers stay exact',
  )
  t.equal(integerSetting(settings, 'min-free'), 5n)
  t.equal(integerSetting(settings, 'builders'), null)
  t.equal(
    stringSetting(settings, 'builders'),
    '@/m 12345678901234567890',
    'text stays text',
  )
  t.equal(stringSetting(settings, 'trusted-users'), null)
  t.same(listSetting(settings, 'trusted-users'), ['root', '@wheel'])
  t.same(listSetting(settings, 'absent'), [])
  t.equal(settings.has('odd'), false)
  for (const text of ['', '[]', 'null', '{', 'error: x'])
    t.equal(readSettings(text), null, text)
})

t.test('parses JSON like JSON.parse', async t => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      const json = JSON.stringify(value)
      // Doubles above 2^53 that are printed without an exponent are parsed as bigints
      const read = JSON.stringify(parseJson(json), (_key, v: unknown) =>
        typeof v === 'bigint' ? Number(v) : v,
      )
      return read === json
    }),
  )
  t.equal(
    parseJson('{"a":"\\"99999999999999999999","b":[-99999999999999999999]}') !==
      undefined,
    true,
  )
  t.same(parseJson('[-99999999999999999999, 1.2345678901234567890, 1e20]'), [
    -99999999999999999999n,
    1.2345678901234567,
    1e20,
  ])
})

t.test('a hostile version does not stall the parser', async t => {
  const cpu = process.cpuUsage()
  t.equal(parseNixVersion(`${'1.1'.repeat(90_000)}!`), null)
  const { user } = process.cpuUsage(cpu)
  // A quadratic expression took 42 s
  t.ok(user < 1_000_000, `${user / 1000} ms of CPU`)
})
