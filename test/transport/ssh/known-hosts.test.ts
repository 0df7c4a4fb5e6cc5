import fc from 'fast-check'
import { createHmac } from 'node:crypto'
import t from 'tap'
import { generateKey } from '../../../src/demo/keys.ts'
import {
  hostKeyPolicy,
  verifyHostKey,
  knownTypes,
  needsCertificate,
} from '../../../src/transport/ssh/host-key.ts'
import {
  fingerprintOf,
  keyTypeOf,
  lookupNames,
  matchesHost,
  parseKnownHosts,
  serviceWithCopy,
  type KnownHost,
} from '../../../src/transport/ssh/known-hosts.ts'
import type { SshTarget } from '../../../src/transport/ssh/ssh-config.ts'
import { aTarget } from './target.ts'

const keyOf = () => generateKey('k').public.split(' ').slice(0, 2).join(' ')
const [a, b, c] = [keyOf(), keyOf(), keyOf()] as [string, string, string]
const blob = (key: string) => key.split(' ')[1] ?? ''
// A valid public RSA key that is used nowhere
const rsaBlob = Buffer.concat([
  Buffer.from([0, 0, 0, 7]),
  Buffer.from('ssh-rsa'),
  Buffer.from([0, 0, 0, 3, 1, 0, 1, 0, 0, 0, 2, 5, 5]),
]).toString('base64')
const hashed = (name: string): string => {
  const salt = Buffer.alloc(20, 9)
  const hash = createHmac('sha1', salt).update(name).digest('base64')
  return `|1|${salt.toString('base64')}|${hash}`
}
const parse = (...lines: string[]) => parseKnownHosts(lines.join('\n'), '/k')
const matching = (line: string, name: string) => {
  const [entry] = parse(line)
  if (!entry) throw new Error(`no entry in ${line}`)
  return matchesHost(entry, name)
}

t.test('parses only key lines', async t => {
  const found = parse(
    '# a comment',
    '',
    `one,two ${a} a comment`,
    `  \t three\t${b}`,
    `@revoked * ${c}`,
    `@cert-authority *.example.org ${a}`,
    `@unknown x ${a}`,
    '@revoked',
    'host',
    'host ssh-ed25519',
    'host ssh-ed25519 !!!not*base64',
    `host ssh-rsa ${blob(a)}`,
    'host ssh-ed25519 AAAA',
    `crlf ${a}\r`,
  )
  t.match(found, [
    { marker: null, hosts: ['one', 'two'], type: 'ssh-ed25519', blob: blob(a), line: 3 },
    { marker: null, hosts: ['three'], line: 4 },
    { marker: 'revoked', hosts: ['*'], line: 5 },
    { marker: 'cert-authority', hosts: ['*.example.org'], line: 6 },
    { hosts: ['crlf'], blob: blob(a), line: 14 },
  ])
  t.equal(found.length, 5)
})

t.test('matches names', async t => {
  const table: [string, string, boolean][] = [
    ['one', 'one', true],
    ['ONE', 'one', true],
    ['one', 'ones', false],
    ['a,b', 'b', true],
    ['*.example.org', 'x.example.org', true],
    ['*.example.org', 'example.org', false],
    ['10.0.0.?', '10.0.0.7', true],
    ['10.0.0.?', '10.0.0.77', false],
    ['*,!bad', 'good', true],
    ['*,!bad', 'bad', false],
    ['!bad,*', 'bad', false],
    ['!bad', 'good', false],
    ['[one]:2222', '[one]:2222', true],
    ['[one]:2222', 'one', false],
    ['[*]:2222', '[x]:2222', true],
    [hashed('one'), 'one', true],
    [hashed('one'), 'two', false],
    [hashed('[one]:2222'), '[one]:2222', true],
    ['|1|broken', 'one', false],
    ['|1||', 'one', false],
    ['a.b', 'axb', false],
  ]
  for (const [pattern, name, expected] of table)
    t.equal(matching(`${pattern} ${a}`, name), expected, `${pattern} and ${name}`)
  t.same(lookupNames('Host', 22), ['host'])
  t.same(lookupNames('Host', 2222), ['[host]:2222', 'host'])
})

t.test('never throws for any text or pattern', async t => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
      for (const entry of parseKnownHosts(text, '/k')) matchesHost(entry, 'host')
    }),
  )
  fc.assert(
    fc.property(
      fc.stringMatching(/^[!*?|1a,.[\]:-]{1,40}$/),
      fc.string(),
      (hosts, name) => {
        for (const entry of parse(`${hosts} ${a}`)) matchesHost(entry, name)
      },
    ),
  )
  fc.assert(
    fc.property(
      fc.stringMatching(/^[ab*?]{0,12}$/),
      fc.stringMatching(/^[ab]{0,10}$/),
      (p, n) => {
        const regex = new RegExp(`^${p.replaceAll('*', '.*').replaceAll('?', '.')}$`)
        const entry: KnownHost = {
          marker: null,
          hosts: [p],
          type: '',
          blob: '',
          file: '',
          line: 1,
        }
        return matchesHost(entry, n) === regex.test(n)
      },
    ),
  )
  fc.assert(
    fc.property(fc.string(), text => (keyTypeOf(text), fingerprintOf(text), true)),
  )
  const started = performance.now()
  matching(`${'*a'.repeat(2000)} ${a}`, 'a'.repeat(2000) + 'b')
  parseKnownHosts('x y z\n'.repeat(1_000_000), '/k')
  t.ok(performance.now() - started < 15_000)
})

t.test('computes the fingerprint of ssh-keygen', async t => {
  // ssh-keygen -lf of GitHub's published key
  const github = 'AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl'
  t.equal(fingerprintOf(github), 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU')
  t.equal(keyTypeOf(github), 'ssh-ed25519')
})

interface Held {
  readonly user?: readonly string[]
  readonly global?: readonly string[]
  readonly pinned?: readonly [as: string, key: string]
  readonly target?: Partial<SshTarget>
}

const policyOf = ({ user = [], global = [], pinned, target }: Held) =>
  hostKeyPolicy(
    aTarget({ hostname: 'one', strict: 'ask', ...target }),
    pinned
      ? {
          lines: parse(pinned.join(' ')),
          hostName: pinned[0],
          key: { isValid: true },
        }
      : null,
    { user: parse(...user), global: parse(...global) },
  )

t.test('verifies the host key', async t => {
  const table: [what: string, held: Held, shown: string, expected: string][] = [
    ['known', { user: [`one ${a}`] }, a, 'known_hosts'],
    ['known globally', { global: [`one ${a}`] }, a, 'known_hosts'],
    ['known among others', { user: [`one ${b}`, `one ${a}`] }, a, 'known_hosts'],
    [
      'known by port',
      { user: [`[one]:2222 ${a}`], target: { port: 2222 } },
      a,
      'known_hosts',
    ],
    [
      'known by bare name',
      { user: [`one ${a}`], target: { port: 2222 } },
      a,
      'known_hosts',
    ],
    [
      'another port',
      { user: [`[one]:2223 ${a}`], target: { port: 2222 } },
      a,
      'host_key_unknown',
    ],
    [
      'known by alias',
      { user: [`al ${a}`], target: { hostKeyAlias: 'al' } },
      a,
      'known_hosts',
    ],
    [
      'known by name, alias set',
      { user: [`one ${a}`], target: { hostKeyAlias: 'al' } },
      a,
      'host_key_unknown',
    ],
    ['unknown', {}, a, 'host_key_unknown'],
    ['known of others', { user: [`two ${a}`] }, a, 'host_key_unknown'],
    ['changed', { user: [`one ${b}`] }, a, 'host_key_changed'],
    ['other type known', { user: [`one ssh-rsa ${rsaBlob}`] }, a, 'host_key_unknown'],
    ['revoked', { user: [`one ${a}`, `@revoked * ${a}`] }, a, 'host_key_revoked'],
    ['another revoked', { user: [`one ${a}`, `@revoked * ${b}`] }, a, 'known_hosts'],
    ['pinned', { pinned: ['one', a] }, a, 'pinned'],
    ['pinned, other shown', { pinned: ['one', b] }, a, 'host_key_mismatch'],
    [
      'pinned, other type shown',
      { pinned: ['one', `ssh-rsa ${rsaBlob}`] },
      a,
      'host_key_mismatch',
    ],
    [
      'pinned and revoked',
      { pinned: ['one', a], global: [`@revoked * ${a}`] },
      a,
      'host_key_revoked',
    ],
    [
      'a pin hides the user file',
      { pinned: ['one', b], user: [`one ${a}`] },
      a,
      'host_key_mismatch',
    ],
    [
      'a pin hides no global file',
      { pinned: ['one', b], global: [`one ${a}`] },
      a,
      'known_hosts',
    ],
    ['pinned for another name', { pinned: ['alias', a] }, a, 'host_key_unknown'],
    ['no strictness', { target: { strict: 'no' } }, a, 'none'],
    ['new ones welcome', { target: { strict: 'accept-new' } }, a, 'none'],
    [
      'accept-new, changed key',
      { user: [`one ${b}`], target: { strict: 'accept-new' } },
      a,
      'host_key_changed',
    ],
    ['strict', { target: { strict: 'yes' } }, a, 'host_key_unknown'],
    [
      'an authority without a certificate',
      { user: [`@cert-authority one ${a}`] },
      a,
      'host_key_unknown',
    ],
  ]
  for (const [what, held, shown, expected] of table) {
    const check = verifyHostKey(policyOf(held), blob(shown))
    t.equal(check.accepted ? check.hostKey.verifiedBy : check.kind, expected, what)
    t.equal(check.hostKey.blob, blob(shown))
  }
})

t.test('reports the origin of the other key and the name of the pin', async t => {
  const changed = verifyHostKey(policyOf({ user: ['# x', `one ${b}`] }), blob(a))
  if (changed.accepted) throw new Error('accepted')
  t.match(changed.params['detail'], `/k:2 has ssh-ed25519 ${fingerprintOf(blob(b))}`)
  t.match(changed.params['detail'], fingerprintOf(blob(a)))
  const named = verifyHostKey(policyOf({ pinned: ['alias', a] }), blob(a))
  t.match(named, { params: { detail: /HostKeyAlias alias/, knownAs: 'one' } })
})

t.test('returns known key types and whether a certificate is needed', async t => {
  t.same(knownTypes(policyOf({ user: [`one ssh-rsa ${rsaBlob}`, `two ${a}`] })), [
    'ssh-rsa',
  ])
  t.same(knownTypes(policyOf({ user: [`@revoked one ${a}`] })), [])
  t.equal(needsCertificate(policyOf({ user: [`@cert-authority one ${a}`] })), true)
  t.equal(needsCertificate(policyOf({ user: [`@cert-authority two ${a}`] })), false)
  t.equal(
    needsCertificate(policyOf({ user: [`@cert-authority one ${a}`, `one ${b}`] })),
    false,
  )
  t.equal(
    needsCertificate(
      policyOf({ global: [`@cert-authority one ${a}`], pinned: ['one', b] }),
    ),
    false,
  )
})

t.test('verifies any bytes of a key', async () => {
  const policy = policyOf({ user: [`one ${a}`] })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      const check = verifyHostKey(policy, Buffer.from(bytes).toString('base64'))
      return !check.accepted
    }),
  )
})

t.test('names the service that has a copy of known_hosts', async t => {
  t.same(serviceWithCopy(['/root/.ssh/known_hosts', '/run/credentials']), {})
  t.same(
    serviceWithCopy([
      '/root/.ssh/known_hosts',
      '/run/credentials/builder-monitor.service/ssh-known_hosts',
    ]),
    { service: 'builder-monitor' },
  )
})
