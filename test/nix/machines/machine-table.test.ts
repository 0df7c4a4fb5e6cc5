/** Lix's TOML machines lists: fields, and which errors stop every build. */
import t from 'tap'
import { parseToml } from '../../../src/config/builders/toml.ts'
import { editMachine } from '../../../src/nix/machines/edit-machine-line.ts'
import { dialectOf } from '../../../src/nix/dialect.ts'
import { parseMachine } from '../../../src/nix/machines/machine-line.ts'
import { readMachineTables } from '../../../src/nix/machines/machine-table.ts'

const strict = dialectOf('2.95.1')
const lenient = dialectOf('2.96.0-dev')

const read = (text: string, flavour = strict) => {
  const document = parseToml(text)
  if ('error' in document) throw new Error(document.error)
  return readMachineTables(document.table, flavour, 'x86_64-linux')
}
const faultsOf = (text: string, flavour = strict): readonly string[] => {
  const { machines, errors } = read(text, flavour)
  return [...errors, ...machines.flatMap(machine => machine.errors)].map(
    ({ message, isFatal }) => `${isFatal ? 'stops' : 'one'}: ${message}`,
  )
}

const hostKey =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJYfqESaiQlOrL3Wm1Q9s9q8b4mjj2nIuyqCZub5aGPi'
const complete = `
version = 1
[machines.andesite]
uri = "ssh-ng://lix@andesite?port=1337"
system-types = ["x86_64-linux", "i686-linux"]
ssh-key = "/etc/nix/key"
jobs = 8
speed-factor = 2.5
supported-features = ["kvm", "big-parallel"]
mandatory-features = ["benchmark"]
ssh-public-host-key = "${hostKey}"
`

t.test('a table with every key equals the machine line', async t => {
  for (const flavour of [strict, lenient]) {
    const { machines, errors } = read(complete, flavour)
    t.same(errors, [])
    const [{ machine } = { machine: null }] = machines
    t.match(machine, {
      storeUri: 'ssh-ng://lix@andesite?port=1337',
      host: 'andesite',
      user: 'lix',
      params: { port: '1337' },
      maxJobs: 8,
      speedFactor: 2.5,
      tomlName: 'andesite',
    })
    const { tomlName, ...same } = machine!
    t.equal(tomlName, 'andesite')
    t.same(
      parseMachine(same.line, flavour, 'other').machine,
      same,
      'its line is equivalent',
    )
  }
})

t.test('applies the defaults of Lix', async t => {
  const { machines } = read('[machines.a]\nuri = "ssh://a"')
  t.match(machines[0]?.machine, {
    systems: ['x86_64-linux'],
    sshKey: null,
    maxJobs: 1,
    speedFactor: 1,
    supportedFeatures: [],
    mandatoryFeatures: [],
    publicHostKey: null,
  })
  t.same(read(''), { machines: [], errors: [] })
})

t.test('validates and omits disabled machines', async t => {
  const off = '[machines.a]\nuri = "ssh://a"\nenable = false'
  t.same(read(off).machines, [])
  t.same(read(off.replace('enable', 'enabled'), lenient).machines, [])
  t.match(faultsOf(`${off}\njobs = -1`), [/stops: `jobs` of machine 'a'/])
})

t.test('reports each error with its consequence in Lix', async t => {
  const a = '[machines.a]\nuri = "ssh://a"\n'
  const rows: readonly (readonly [string, RegExp])[] = [
    ['version = 42\n[machines]', /version 42, but Lix supports only version 1/],
    ['version = "1"\n[machines]', /`version` is not a whole number/],
    ['[[machines]]\nuri = "ssh://a"', /`machines` is not a table/],
    ['machines.a = "ssh://a"', /machine 'a' is not a table/],
    ['[machines.a]', /`uri` of machine 'a' is missing or empty/],
    [`${a}extra = 3`, /`extra` of machine 'a' is an unknown key/],
    [`${a}jobs = "three"`, /`jobs` .* is not a whole number from 0/],
    [`${a}jobs = 8.0`, /`jobs` .* is not a whole number/],
    [`${a}jobs = 4294967296`, /`jobs` .* is not a whole number/],
    [`${a}speed-factor = -3.0`, /`speed-factor` .* is not a number of 0 or more/],
    [`${a}speed-factor = "fast"`, /`speed-factor` .* is not a number/],
    [`${a}system-types = "x86_64-linux"`, /`system-types` .* is not a list of strings/],
    [`${a}enable = 0`, /`enable` .* is neither true nor false/],
    [`${a}ssh-key = 1`, /`ssh-key` .* is not a string/],
  ]
  for (const [text, wanted] of rows) {
    const found = faultsOf(text)
    t.equal(found.length, 1, text)
    t.match(found[0], wanted)
    t.match(found[0], /^stops: .*every build on this machine fails/)
  }
  t.match(faultsOf('[machines.a]\nuri = "a"'), [
    /^one: 'a' has no scheme .*no builds there/,
  ])
})

t.test('follows the differences of Lix 2.95 and 2.96', async t => {
  const unknownField = 'note = "x"\n[machines.a]\nuri = "ssh://a"'
  t.match(faultsOf(unknownField), [/'note' is neither `version` nor `machines`/])
  t.same(faultsOf(unknownField, lenient), [])
  t.match(faultsOf('[machines.a]\nuri = "ssh://a"\nenabled = true'), [
    /`enabled` .* is an unknown key/,
  ])
})

t.test('formats edits in the syntax of the original', async t => {
  const machine = { line: 'ssh://a x86_64-linux', tomlName: 'a b' }
  t.equal(
    editMachine(machine, {
      4: '3',
      6: 'kvm,nixos-test',
      7: '-',
      8: Buffer.from(hostKey).toString('base64'),
    }),
    `[machines."a b"]\njobs = 3\nsupported-features = ["kvm", "nixos-test"]\nmandatory-features = []\nssh-public-host-key = "${hostKey}"`,
  )
  t.equal(editMachine({ line: machine.line }, { 4: '3' }), 'ssh://a x86_64-linux - 3')
})

t.test('malicious documents return an error message', async t => {
  for (const text of [
    `a = ${'['.repeat(100_000)}`,
    '['.repeat(100_000),
    '\u0000',
    'a = "',
  ])
    t.match(parseToml(text), { error: /./, line: Number })
  t.doesNotThrow(() => read('[machines.__proto__]\nuri = "ssh://a"'))
})
