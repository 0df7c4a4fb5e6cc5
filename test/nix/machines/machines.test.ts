/** Machine lines: list splitting, fields, store URIs, builder names. */
import fc from 'fast-check'
import t from 'tap'
import { dialectOf } from '../../../src/nix/dialect.ts'
import { parseMachine } from '../../../src/nix/machines/machine-line.ts'
import { parseMachinesEntries } from '../../../src/nix/machines/machines-entries.ts'
import { aBuilder } from '../../support/builders.ts'
import { nameBuilders } from '../../../src/nix/machines/builder-names.ts'
import { parseStoreUri, sshDestination } from '../../../src/nix/machines/store-uri.ts'

const versions = [
  '2.3.16',
  '2.8.0',
  '2.19.0',
  '2.26.3',
  '2.31.0',
  '2.34.8',
  '2.35.0',
  '2.93.0',
  null,
]
const legacy = dialectOf('2.28.0')
const newest = dialectOf(null)

t.test('splits a list as each Nix version does', async t => {
  const rows: readonly (readonly [string, string[], string[]])[] = [
    ['', [], []],
    ['ssh://a # note', ['ssh://a '], ['ssh://a']],
    ['# old ; ssh://a', [' ssh://a'], []],
    ['   ', ['   '], []],
    ['  # c', ['  '], []],
    [' @/m', [' @/m'], ['include /m']],
    ['@/m # x', ['include /m'], ['include /m']],
    ['@/a @/b', ['include /a @/b'], ['include /a @/b']],
    ['a;b\nc;;\n', ['a', 'b', 'c'], ['a', 'b', 'c']],
    ['a\r\n\r\n', ['a\r', '\r'], ['a']],
  ]
  for (const [text, old, now] of rows)
    for (const [flavour, wanted] of [
      [legacy, old],
      [newest, now],
    ] as const)
      t.same(
        [...parseMachinesEntries(text, flavour)].map(p =>
          p.kind === 'include' ? `include ${p.text}` : p.text,
        ),
        wanted,
        `${JSON.stringify(text)}, ${flavour.commentParsing}`,
      )
  t.same(
    [...parseMachinesEntries('a\n\n# x\nb;c', newest)].map(p => p.line),
    [1, 4, 4],
    'counts every line',
  )
})

const machineOf = (line: string, version: string | null = null) =>
  parseMachine(line, dialectOf(version), 'x86_64-linux')

t.test('parses all fields', async t => {
  const key = 'c3NoLWVkMjU1MTkgQUFBQQo='
  t.same(machineOf(`ssh-ng://u@h:23?compress=true a,b /k 4 2.5 f,g m ${key} rest`), {
    machine: {
      storeUri: 'ssh-ng://u@h:23?compress=true',
      scheme: 'ssh-ng',
      user: 'u',
      host: 'h',
      port: 23,
      params: { compress: 'true' },
      systems: ['a', 'b'],
      sshKey: '/k',
      maxJobs: 4,
      speedFactor: 2.5,
      supportedFeatures: ['f', 'g'],
      mandatoryFeatures: ['m'],
      publicHostKey: key,
      line: `ssh-ng://u@h:23?compress=true a,b /k 4 2.5 f,g m ${key} rest`,
    },
    error: null,
  })
  const defaults = {
    user: null,
    port: null,
    params: {},
    systems: ['x86_64-linux'],
    sshKey: null,
    maxJobs: 1,
    speedFactor: 1,
    supportedFeatures: [],
    mandatoryFeatures: [],
    publicHostKey: null,
  }
  t.match(machineOf('h'), { machine: { ...defaults, storeUri: 'ssh://h' } }, 'defaults')
  t.match(machineOf('h - - - - - - -'), { machine: defaults }, 'a dash means the default')
  t.match(machineOf(' h , - 0 0 ').machine, {
    systems: [],
    maxJobs: 0,
    speedFactor: 1,
    line: 'h , - 0 0',
  })
})

t.test('rejects what Nix rejects and reports the consequence', async t => {
  const stops = (line: string, version: string | null, what: string) =>
    t.same(
      machineOf(line, version),
      {
        machine: null,
        error: {
          message: `${what}: every build on this machine fails until this line is fixed`,
          isFatal: true,
        },
      },
      `${line}, ${version}`,
    )
  const jobs = (text: string) =>
    `the maximum number of jobs '${text}' (field 4) is not a whole number from 0 to 4294967295`
  stops('  ', null, "the machine line '' has no store URI in its first field")
  stops('- x', null, "the machine line '- x' has no store URI in its first field")
  stops(`h - - ${'9'.repeat(200)}`, null, jobs(`${'9'.repeat(79)}…`))
  stops('h - - \u001b[31m', null, jobs('?[31m'))
  for (const text of ['-1', '1.5', 'many', '4294967296', '0x1'])
    stops(`h - - ${text}`, null, jobs(text))
  stops(
    'h - - 1 fast',
    null,
    "the speed factor 'fast' (field 5) is not a number of 0 or more",
  )
  stops(
    'h - - 1 -1',
    null,
    "the speed factor '-1' (field 5) is not a number of 0 or more",
  )
  stops(
    'h - - 1 1.5',
    '2.19.0',
    "the speed factor '1.5' (field 5) is not a whole number, and this Nix does not support fractions",
  )
  stops('h - - 1 1 - - k_y', null, "the host key 'k_y' (field 8) is not base64")
  t.equal(machineOf('h - - 1 1 - - k_y', '2.3.0').error, null, 'not checked by 2.3')
  stops('ssh://a|b', '2.23.0', "'ssh://a|b' is not a store URI")
})

t.test('reports stores that Nix accepts in the list but cannot open', async t => {
  const message = (line: string, version: string | null) => {
    const { machine, error } = machineOf(line, version)
    t.ok(machine, `${line} is listed`)
    t.equal(error?.isFatal ?? false, false)
    return error?.message ?? null
  }
  const suffix = ': Nix cannot open this store, so it sends no builds there'
  t.equal(message('ssh://a|b', '2.22.0'), `'ssh://a|b' is not a store URI${suffix}`)
  t.equal(message('ssh://', null), `'ssh://' has no host${suffix}`)
  t.equal(message('ssh://a/x', null), `'ssh://a/x' has a path after the host${suffix}`)
  t.equal(
    message('ssh://-oProxyCommand=x', null),
    `'ssh://-oProxyCommand=x' has a user or host that ssh could interpret as an option${suffix}`,
  )
  t.equal(
    message('h - key', '2.35.0'),
    `the ssh key 'key' (field 3) is not an absolute path${suffix}`,
  )
  t.equal(message('h - key', '2.34.0'), null)
  t.match(message(' @/m', '2.28.0'), /has spaces before its @/)
  t.equal(
    machineOf(' @/m', '2.28.0').machine?.line,
    ' @/m',
    'does not become an include in --builders',
  )
})

t.test('parses user, host and port', async t => {
  const rows: readonly (readonly [
    string,
    string,
    string | null,
    string | null,
    number | null,
  ])[] = [
    ['h', 'ssh', null, 'h', null],
    ['u@h', 'ssh', 'u', 'h', null],
    ['u@h:2222', 'ssh', 'u', 'h', 2222],
    ['ssh-ng://u@h', 'ssh-ng', 'u', 'h', null],
    ['ssh://[::1]', 'ssh', null, '::1', null],
    ['ssh://u@[fe80::1]:22', 'ssh', 'u', 'fe80::1', 22],
    ['::1', 'ssh', null, '::1', null],
    ['ssh://u@fe80::1%eth0', 'ssh', 'u', 'fe80::1%eth0', null],
    ['ssh://[fe80::1%eth0]', 'ssh', null, 'fe80::1%eth0', null],
    ['local', 'local', null, null, null],
    ['auto', 'auto', null, null, null],
    ['daemon?x=1', 'daemon', null, null, null],
    ['/x', 'local', null, null, null],
    ['h/x', 'local', null, null, null],
    ['unix:///s', 'unix', null, null, null],
    ['foo:bar://x', 'foo', null, null, null],
  ]
  for (const version of ['2.8.0', '2.26.3', '2.34.8'])
    for (const [text, scheme, user, host, port] of rows)
      t.match(
        parseStoreUri(text, dialectOf(version)),
        { scheme, user, host, port, error: null },
        `${text}, ${version}`,
      )
})

t.test('parses store URIs by version', async t => {
  const uri = (text: string, version: string | null) =>
    parseStoreUri(text, dialectOf(version))
  t.equal(uri('localhost', '2.3.16').text, 'localhost', '2.3 adds no scheme to local...')
  t.equal(uri('localhost', '2.4').text, 'ssh://localhost')
  t.equal(uri('h/x', '2.3.16').text, 'ssh://h/x')
  t.equal(uri('ssh://%61', '2.30.0').host, '%61', 'no decoding before 2.31')
  t.equal(uri('ssh://%61', '2.31.0').host, 'a')
  t.equal(
    uri('ssh://::1', '2.31.1').error?.isFatal,
    true,
    '2.31.0 and 2.31.1 require brackets',
  )
  t.equal(uri('ssh://::1', '2.31.2').error, null)
  t.equal(uri('ssh://fe80::1%eth0', '2.31.4').error?.isFatal, true)
  t.equal(uri('ssh://[fe80::1%25eth0]', '2.31.0').host, 'fe80::1%eth0')
  t.equal(uri('ssh://h:70000', '2.34.0').error?.isFatal, true)
  t.equal(uri('ssh://h:port', '2.26.3').host, null)
  t.same(
    uri('h?a=%2Ftmp%20x&b&a=2', null).params,
    { a: '/tmp x' },
    'the first of equal keys wins',
  )
  t.same(Object.keys(uri('h?__proto__=1', null).params), ['__proto__'])
  t.equal(uri('h?a=%zz', null).error?.isFatal, true)
})

t.test('returns the ssh destination and port by version', async t => {
  const ssh = (text: string, version: string | null) => {
    const uri = parseStoreUri(text, dialectOf(version))
    return sshDestination({ ...uri, storeUri: uri.text }, dialectOf(version))
  }
  t.same(
    ssh('u@h:22', '2.30.0'),
    { destination: 'u@h:22', port: null },
    'the port is part of the host',
  )
  t.same(ssh('u@h:22', '2.31.0'), { destination: 'u@h', port: 22 })
  t.same(ssh('u@h?port=23', '2.93.0'), { destination: 'u@h', port: 23 }, 'Lix')
  t.same(ssh('u@[::1]', '2.8.0'), { destination: 'u@::1', port: null })
  t.equal(ssh('local', null), null)
})

const named = (lines: readonly string[]) => {
  const machines = lines.flatMap(line => {
    const { machine } = machineOf(line)
    return machine ? [{ ...machine, origin: { file: 'f', line: 1 } }] : []
  })
  return nameBuilders(machines).map(builder => builder.name)
}

t.test('names builders by host, longer only on collisions', async t => {
  t.same(named(['ssh://u@a:22', 'ssh-ng://v@b', 'local', '/x', 'unix:///s']), [
    'a',
    'b',
    'local',
    '/x',
    'unix:///s',
  ])
  t.same(named(['u@a', 'v@a', 'b']), ['u@a', 'v@a', 'b'])
  t.same(named(['u@a', 'a']), ['u@a', 'a'])
  t.same(named(['a:22', 'a:23']), ['a:22', 'a:23'])
  t.same(named(['[::1]:22', '[::1]']), ['[::1]:22', '::1'])
  t.same(named(['ssh://u@a', 'ssh-ng://u@a']), ['ssh://a', 'ssh-ng://a'])
  t.same(named(['u@a', 'v@a', 'ssh-ng://u@a']), ['ssh://u@a', 'v@a', 'ssh-ng://u@a'])
  t.same(named(['local', 'ssh://local']), ['local://local', 'ssh://local'])
  t.same(
    named(['a y', 'a x', 'a x']),
    ['a#3', 'a', 'a#2'],
    'in the order of sorted lines',
  )
})

const host = fc.constantFrom('a', 'b', '[::1]', 'a.example')
const someLine = fc
  .tuple(
    fc.constantFrom('', 'ssh://', 'ssh-ng://'),
    fc.constantFrom('', 'u@', 'v@'),
    host,
    fc.constantFrom('', ':22', ':23'),
    fc.constantFrom('', ' x', ' x,y - 2'),
  )
  .map(parts => parts.join(''))

t.test('names are unique and independent of the list order', async () => {
  fc.assert(
    fc.property(fc.array(someLine, { maxLength: 12 }), lines => {
      const names = named(lines)
      const reversed = named(lines.toReversed())
      const pairs = (all: readonly string[], of: readonly string[]) =>
        all.map((name, i) => `${name} ${of[i]}`).sort()
      return (
        new Set(names).size === lines.length &&
        pairs(names, lines).join() === pairs(reversed, lines.toReversed()).join()
      )
    }),
  )
})

t.test('parses formatted lines in every dialect', async () => {
  const word = fc.stringMatching(/^[a-z0-9_]{1,8}$/)
  const list = fc.array(word, { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(
      fc.constantFrom(...versions),
      fc.record({
        host: word,
        systems: list,
        sshKey: word.map(name => `/${name}`),
        maxJobs: fc.nat(0xffffffff),
        speedFactor: fc.integer({ min: 1, max: 1000 }),
        supportedFeatures: list,
        mandatoryFeatures: list,
        publicHostKey: fc.base64String({ minLength: 4, maxLength: 80 }),
      }),
      fc.constantFrom(' ', '\t', '  '),
      (version, m, blank) => {
        const text = [
          `ssh-ng://${m.host}`,
          m.systems,
          m.sshKey,
          m.maxJobs,
          m.speedFactor,
          m.supportedFeatures,
          m.mandatoryFeatures,
          m.publicHostKey,
        ].join(blank)
        const [piece, ...more] = parseMachinesEntries(`${text} # c\n`, dialectOf(version))
        const { machine, error } = machineOf(piece?.text ?? '', version)
        const read =
          machine &&
          Object.fromEntries(Object.keys(m).map(k => [k, machine[k as keyof typeof m]]))
        // A generated line is parsed to the same machine
        const again = machineOf(machine?.line ?? '', version).machine
        return (
          more.length === 0 &&
          error === null &&
          JSON.stringify(read) === JSON.stringify(m) &&
          JSON.stringify(again) === JSON.stringify(machine)
        )
      },
    ),
  )
})

t.test('never throws', async () => {
  const odd = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ unit: fc.constantFrom(...'ssh:/@[]%?=&;#-, \t\n1a'), maxLength: 60 }),
  )
  fc.assert(
    fc.property(odd, fc.constantFrom(...versions), (text, version) => {
      const flavour = dialectOf(version)
      for (const piece of parseMachinesEntries(text, flavour)) {
        const { machine, error } = machineOf(piece.text, version)
        if (machine === null && !error?.isFatal) return false
        if (machine && /[\n;#]/.test(machine.line)) return false
        if (error && (error.message.length > 400 || /[\n\t]/.test(error.message)))
          return false
        if (
          machine?.port !== null &&
          machine &&
          !(machine.port > 0 && machine.port < 65_536)
        )
          return false
      }
      return true
    }),
    { numRuns: 2000 },
  )
})

t.test('removes control and direction characters from names', async t => {
  const host = (name: string) =>
    nameBuilders([
      { ...aBuilder(), host: name, storeUri: `ssh://${name}`, user: null, port: null },
    ])[0]?.name
  t.equal(host('b1\u202e\u200bgnp.exe'), 'b1gnp.exe')
  t.equal(host('b1\u001b[31m'), 'b1')
  t.equal(host('\u202e'), '?')
})
